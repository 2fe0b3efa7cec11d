/**
 * Making tasks: all of them or none.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
} from "@std/assert";
import { DuplicateIdError, UsageError } from "../../../lib/base/errors.ts";
import type { NewTasks } from "../../../lib/store/contract.ts";
import type { AgentTask, NewTask } from "../../../lib/task/task.ts";
import { parseTrace } from "../../../lib/task/trace.ts";
import {
  assertNow,
  create,
  createMany,
  createOne,
  HOUR,
  later,
  newTask,
  statesOf,
  taskOf,
  type Test,
  USER,
} from "./subject.ts";

export function testCreate(test: Test): void {
  testStored(test);
  testRefused(test);
  testSets(test);
}

function testStored(test: Test): void {
  test("create() returns the ids in the order of the tasks", async ({ store }) => {
    const id = crypto.randomUUID();
    const ids = await create(store, [
      { instruction: "a" },
      { instruction: "b", id },
      { instruction: "c" },
    ]);
    assertEquals([ids.length, ids[1]], [3, id]);
    const tasks = await Promise.all(ids.map((id) => taskOf(store, id)));
    assertEquals(tasks.map(({ instruction }) => instruction), ["a", "b", "c"]);
  });

  test("create() stores every field", async (subject) => {
    const { store, now } = subject;
    const fields = {
      id: crypto.randomUUID(),
      userId: crypto.randomUUID(),
      provider: "http",
      instruction: "Do it",
      targetType: "pr",
      targetRef: "octo/repo#12",
      priority: -7,
      runAt: later(await now(), HOUR),
      maxAttempts: 9,
      timeoutMs: 1_500,
      batch: "nightly",
      key: "issue 12",
      tags: ["night", 'a "b"'],
      workspace: { repo: "/srv/app ü", base: "main", branch: "agent/x" },
      touches: ["src/**"],
      needsApproval: true,
    } as const;
    await assertNow(subject, async () => {
      await create(store, [{ ...fields, trace: { key: [1, "two"] } }]);
      const task = await taskOf(store, fields.id);
      const { createdAt, updatedAt } = task;
      const expected: AgentTask = {
        ...fields,
        traceText: '{"key":[1,"two"]}',
        state: "created",
        attempt: 0,
        questions: 0,
        ifFailed: null,
        isBlocked: false,
        leaseOwner: null,
        leaseExpiresAt: null,
        cancelRequestedAt: null,
        createdAt,
        updatedAt,
      };
      assertEquals(task, expected);
      return [createdAt, updatedAt];
    });
  });

  test("create() stores a task that says no more than it must", async ({ store }) => {
    const id = await createOne(store);
    const task = await taskOf(store, id);
    const { createdAt } = task;
    const expected: AgentTask = {
      id,
      userId: USER,
      provider: "simulate",
      targetType: null,
      targetRef: null,
      instruction: null,
      state: "created",
      traceText: null,
      priority: 0,
      runAt: null,
      attempt: 0,
      questions: 0,
      maxAttempts: null,
      timeoutMs: null,
      batch: null,
      key: null,
      tags: [],
      ifFailed: null,
      isBlocked: false,
      workspace: null,
      touches: [],
      needsApproval: false,
      leaseOwner: null,
      leaseExpiresAt: null,
      cancelRequestedAt: null,
      createdAt,
      updatedAt: createdAt,
    };
    assertEquals(task, expected);
  });

  test("create() stores issues and targets without a repository", async ({ store }) => {
    const targets = [
      ["issue", "a/b#1"],
      ["issue", "#2147483647"],
      ["pr", "#3"],
    ] as const;
    const ids = await create(
      store,
      targets.map(([targetType, targetRef]) => ({ targetType, targetRef })),
    );
    const tasks = await Promise.all(ids.map((id) => taskOf(store, id)));
    assertEquals(
      tasks.map(({ targetType, targetRef }) => [targetType, targetRef]),
      targets.map((target) => [...target]),
    );
  });

  test("create() writes one event for each task", async ({ store }) => {
    for (const taskId of await createMany(store, 3)) {
      const [event, ...more] = await store.admin.history(taskId);
      assertEquals(more, []);
      const { createdAt } = await taskOf(store, taskId);
      assertEquals({ ...event, id: 0 }, {
        id: 0,
        taskId,
        kind: "created",
        occurredAt: createdAt,
        attempt: 0,
        runner: null,
        detail: null,
      });
    }
  });

  test("create() keeps unicode, quotes, line ends and NUL bytes", async ({ store, kept }) => {
    const text = "é 漢字 🦆 \u202E \"'\\ $1 ? ;--\r\n\t\0after NUL \u{10FFFF}";
    const id = await createOne(store, {
      instruction: text,
      provider: "漢🦆",
      trace: { [text]: text },
    });
    const { instruction, provider, traceText } = await taskOf(store, id);
    assertEquals([instruction, provider], [kept(text), "漢🦆"]);
    assertEquals(parseTrace(traceText), { [text]: text });
  });
}

function testRefused(test: Test): void {
  test("create() adds nothing where one id is taken", async ({ store }) => {
    const id = await createOne(store, { instruction: "first" });
    const other = crypto.randomUUID();
    const error = await assertRejects(
      () => create(store, [{ id: other }, { id, instruction: "second" }]),
      DuplicateIdError,
      "Cannot create task",
    );
    assertEquals(error.id, id);
    assertEquals(await store.admin.get(other), undefined);
    assertEquals(await store.admin.history(other), []);
    assertEquals((await taskOf(store, id)).instruction, "first");
    assertEquals((await store.admin.history(id)).length, 1);
    assertEquals(await statesOf(store), { created: 1 });
  });

  test("create() adds nothing where a batch has an id twice", async ({ store }) => {
    const id = crypto.randomUUID();
    await assertRejects(
      () => create(store, [{}, { id }, { id }]),
      UsageError,
      id,
    );
    assertEquals(await statesOf(store), {});
  });

  test("create() works again after a batch that it refused", async ({ store }) => {
    const id = await createOne(store);
    await assertRejects(() => create(store, [{ id }]), DuplicateIdError);
    await createMany(store, 2);
    assertEquals(await statesOf(store), { created: 3 });
  });

  test("create() adds nothing where a time can't be kept, alone and among others", async ({ store }) => {
    const runAt = BEYOND_ALL_YEARS;
    for (const tasks of [[{ runAt }], [{}, { runAt }]]) {
      await assertRejects(() => create(store, tasks));
    }
    assertEquals(await statesOf(store), {});
  });

  test("create() keeps half a character as U+FFFD", async ({ store }) => {
    const id = await createOne(store, {
      instruction: "\ud83d",
      trace: { half: "\ud83d" },
    });
    const { instruction, traceText } = await taskOf(store, id);
    assertEquals([instruction, traceText], ["\ufffd", '{"half":"\ufffd"}']);
  });

  test("create() adds nothing where one target can't be read", async ({ store }) => {
    await assertRejects(
      () => create(store, [{}, { targetType: "issue", targetRef: "a#b" }]),
      UsageError,
      "a#b",
    );
    assertEquals(await statesOf(store), {});
  });
}

/** The last time that the language has: its year has six digits. */
const BEYOND_ALL_YEARS = new Date(8.64e15);

/** Tasks that come set by set, as a file's lines do. */
function setsOf(
  sets: readonly (readonly Partial<NewTask>[])[],
  end: () => void = () => {},
): NewTasks {
  return {
    count: sets.reduce((sum, { length }) => sum + length, 0),
    async *sets() {
      for (const set of sets) yield await Promise.resolve(set.map(newTask));
      end();
    },
  };
}

function testSets(test: Test): void {
  test("create() takes an empty batch", async ({ store }) => {
    assertEquals(await create(store, []), []);
    assertEquals(await statesOf(store), {});
  });

  test("create() takes more tasks than fit one chunk", async ({ store }) => {
    const ids = await createMany(store, 5_000);
    assertEquals(new Set(ids).size, 5_000);
    const { tasks, total } = await store.admin.page({ limit: 5_000 });
    assertEquals(total, 5_000);
    assertEquals(tasks.map(({ id }) => id).sort(), ids.sort());
  });

  test("create() takes tasks that come set by set, in their order", async ({ store }) => {
    const sets = [3, 1, 0, 4].map((size, set) =>
      Array.from({ length: size }, (_, n) => ({ instruction: `${set}.${n}` }))
    );
    const ids = await store.admin.create(setsOf(sets));
    assertEquals(ids.length, 8);
    const tasks = await Promise.all(
      [...ids.sets()].flat().map((id) => taskOf(store, id)),
    );
    assertEquals(
      tasks.map(({ instruction }) => instruction),
      sets.flat().map(({ instruction }) => instruction),
    );
    const [first, ...others] = tasks;
    assert(first);
    for (const { createdAt } of others) {
      assertEquals(createdAt, first.createdAt);
    }
  });

  test("create() adds nothing where a later set is refused, or can't be read", async ({ store }) => {
    const id = await createOne(store);
    await assertRejects(
      () => store.admin.create(setsOf([[{}, {}], [{ id }]])),
      DuplicateIdError,
    );
    const broken = setsOf([[{}], [{}]], () => {
      throw new RangeError("line 3 is broken");
    });
    const error = await assertRejects(() => store.admin.create(broken));
    assertInstanceOf(error, RangeError);
    assertEquals(await statesOf(store), { created: 1 });
    await createOne(store);
    assertEquals(await statesOf(store), { created: 2 });
  });
}
