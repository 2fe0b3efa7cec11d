/**
 * Keys: at most one task with a key that has not ended.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
} from "@std/assert";
import { DuplicateIdError } from "../../../lib/base/errors.ts";
import {
  type KeyResult,
  type NewTasks,
  newTasks,
  type Store,
} from "../../../lib/store/contract.ts";
import type { NewTask } from "../../../lib/task/task.ts";
import { complete, fail, retryLater } from "../../../lib/task/transitions.ts";
import {
  claim,
  claimOne,
  create,
  createOne,
  historyOf,
  HOUR,
  later,
  LEASE_MS,
  MINUTE,
  newTask,
  nth,
  record,
  startOne,
  statesOf,
  taskOf,
  type Test,
} from "./subject.ts";

interface Created {
  readonly ids: readonly string[];
  readonly known: readonly (readonly [number, KeyResult])[];
}

/** Creates tasks in one call, in these sets. */
async function createSets(
  { admin }: Store,
  ...sets: readonly (readonly Partial<NewTask>[])[]
): Promise<Created> {
  const tasks: NewTasks = {
    count: sets.flat().length,
    sets: () => sets.map((set) => set.map(newTask)),
  };
  const list = await admin.create(tasks);
  return { ids: [...list.sets()].flat(), known: [...list.known] };
}

export function testKeys(test: Test): void {
  testTaken(test);
  testOneCreation(test);
  testReplace(test);
  testRetried(test);
}

function testTaken(test: Test): void {
  test("create() with a key returns the task that has it until that has ended", async ({ store, elapse }) => {
    const key = "issue 12";
    const id = await createOne(store, { key, instruction: "first" });
    const again = () => createSets(store, [{ key, instruction: "second" }]);
    const known = [[0, "existing"]] as const;
    assertEquals(await again(), { ids: [id], known });
    const run = await claimOne(store);
    assertEquals(await again(), { ids: [id], known });
    await record(store, retryLater(run, { error: "busy", delayMs: MINUTE }));
    assertEquals(await again(), { ids: [id], known });
    await elapse(MINUTE);
    await record(store, complete(await claimOne(store)));
    const { ids: [next = ""], known: none } = await again();
    assertNotEquals(next, id);
    assertEquals(none, []);
    assertEquals(await again(), { ids: [next], known });
    assertEquals((await taskOf(store, id)).instruction, "first");
    assertEquals((await store.admin.history(next)).length, 1);
    assertEquals(await statesOf(store), { completed: 1, created: 1 });
  });

  test("create() with a key takes the place of one that failed or was cancelled", async ({ store }) => {
    const run = await startOne(store, { key: "k" });
    await record(store, fail(run, "no"));
    const second = await createOne(store, { key: "k" });
    assertNotEquals(second, run.task.id);
    await store.admin.cancel([second]);
    assertNotEquals(await createOne(store, { key: "k" }), second);
    // A key of another case, or of another task, is another one.
    const others = await create(store, [{ key: "K" }, { key: "k2" }, {}, {}]);
    assertEquals(new Set(others).size, 4);
  });

  test("create() with keyForMs returns the newest task while that is young", async ({ store, elapse }) => {
    const task = { key: "daily", keyForMs: 24 * HOUR };
    const run = await startOne(store, task);
    await record(store, complete(run));
    await elapse(23 * HOUR);
    assertEquals(await createSets(store, [task]), {
      ids: [run.task.id],
      known: [[0, "existing"]],
    });
    // Without it, an ended one is none.
    const second = await startOne(store, { key: "daily" });
    assertNotEquals(second.task.id, run.task.id);
    await record(store, fail(second, "no"));
    await elapse(2 * HOUR);
    assertEquals((await createSets(store, [task])).ids, [second.task.id]);
    await elapse(22 * HOUR);
    assertEquals((await createSets(store, [task])).known, []);
  });

  test("create() with a key and an id that is taken is refused as without a key", async ({ store }) => {
    const id = crypto.randomUUID();
    await create(store, [{ id, key: "k", instruction: "first" }]);
    for (const task of [{ id, key: "k" }, { id, key: "other" }, { id }]) {
      await assertRejects(() => create(store, [task]), DuplicateIdError);
    }
    assertEquals(await statesOf(store), { created: 1 });
  });
}

function testOneCreation(test: Test): void {
  test("create() with a key twice makes one task, in one set and in several", async ({ store }) => {
    const { ids, known } = await createSets(
      store,
      [{ key: "a" }, {}, { key: "a" }, { key: "b" }],
      [{ key: "a", replaces: true }, { key: "c" }, { key: "b" }],
    );
    const [a = "", none = "", , b = "", , c = ""] = ids;
    assertEquals(ids, [a, none, a, b, a, c, b]);
    assertEquals(known, [[2, "existing"], [4, "existing"], [6, "existing"]]);
    assertEquals(await statesOf(store), { created: 4 });
    assertEquals((await historyOf(store, nth(ids, 0))).length, 1);
  });

  test("create() with some keys that are taken adds the others, in their order", async ({ store }) => {
    const id = await createOne(store, { key: "b" });
    const { ids, known } = await createSets(store, [
      { key: "a", instruction: "a" },
      { key: "b", instruction: "b" },
      { instruction: "c" },
    ]);
    assertEquals([ids[1], known], [id, [[1, "existing"]]]);
    const tasks = await Promise.all(ids.map((id) => taskOf(store, id)));
    assertEquals(
      tasks.map(({ instruction }) => instruction),
      ["a", null, "c"],
    );
  });

  test("create() behind a key waits for the task that has it", async ({ store }) => {
    const running = await startOne(store, { key: "a" });
    const { ids, known } = await createSets(
      store,
      [{ key: "a", after: ["b"] }, { key: "b", after: ["a"] }],
      [{ key: "b" }, { after: ["b"], ifFailed: "run" }],
    );
    const [a = "", b = "", , last = ""] = ids;
    assertEquals(ids, [running.task.id, b, b, last]);
    assertEquals(known, [[0, "existing"], [2, "existing"]]);
    assertEquals((await claim(store)).tasks, []);
    await record(store, complete(running));
    const next = await claimOne(store);
    assertEquals(next.task.id, b);
    await record(store, fail(next, "no"));
    assertEquals((await claimOne(store)).task.id, last);
    assertEquals((await taskOf(store, a)).state, "completed");
  });

  test("create() with many keys at once, from several, makes each once", async ({ store }) => {
    const tasks = Array.from({ length: 700 }, (_, n) => ({ key: `key ${n}` }));
    const few = tasks.slice(0, 30).toReversed();
    const lists = await Promise.all(
      [tasks, few, tasks, few].map((set) => createSets(store, set)),
    );
    const [first, second, third] = lists.map(({ ids }) => ids);
    assertEquals(first, third);
    assertEquals(first?.slice(0, 30).toReversed(), second);
    assertEquals(await statesOf(store), { created: 700 });
    const made = lists.map(({ ids, known }) => ids.length - known.length);
    assertEquals(made.reduce((sum, it) => sum + it), 700);
  });
}

function testReplace(test: Test): void {
  test("create() with replaces changes the task that waits into the new one", async ({ store, now }) => {
    const first = await createOne(store, {
      key: "k",
      provider: "codex",
      instruction: "old",
      trace: { old: 1 },
      priority: 4,
      timeoutMs: 1_000,
      tags: ["old"],
      targetType: "issue",
      targetRef: "a/b#1",
    });
    const before = await taskOf(store, first);
    const runAt = later(await now(), HOUR);
    const created = await createSets(store, [{
      key: "k",
      replaces: true,
      instruction: "new",
      trace: { new: 1 },
      runAt,
      maxAttempts: 7,
      batch: "night",
    }]);
    assertEquals(created, { ids: [first], known: [[0, "replaced"]] });
    const { updatedAt, ...after } = await taskOf(store, first);
    assert(updatedAt >= before.updatedAt);
    const { updatedAt: _, ...rest } = before;
    assertEquals(after, {
      ...rest,
      provider: "simulate",
      instruction: "new",
      traceText: '{"new":1}',
      priority: 0,
      runAt,
      maxAttempts: 7,
      timeoutMs: null,
      batch: "night",
      tags: [],
      targetType: null,
      targetRef: null,
    });
    assertEquals((await historyOf(store, first)).slice(1), [[
      "edited",
      0,
      null,
      "instruction changed, trace changed, provider codex → simulate, " +
      "target issue a/b#1 → none, priority 4 → 0, " +
      `run at none → ${runAt.toISOString()}, attempts none → 7, ` +
      "timeout 1s → none, batch none → night, tags old → none",
    ]]);
  });

  test("create() with replaces leaves alone what has begun, and what is the same", async ({ store }) => {
    const task = { key: "k", replaces: true, instruction: "same" };
    const id = await createOne(store, task);
    assertEquals((await createSets(store, [task])).known, [[0, "replaced"]]);
    assertEquals((await historyOf(store, id)).length, 1);
    await claim(store);
    const { ids, known } = await createSets(store, [
      { ...task, instruction: "other" },
      {},
    ]);
    assertEquals([ids[0], known], [id, [[0, "existing"]]]);
    assertEquals((await taskOf(store, id)).instruction, "same");
    // There is none that waits: a new one.
    assertEquals(
      (await createSets(store, [{ key: "free", replaces: true }])).known,
      [],
    );
  });

  test("create() with replaces leaves alone what a runner holds, and not what one has left", async ({ store, elapse }) => {
    const id = await createOne(store, { key: "k", instruction: "old" });
    await create(store, [{ priority: 9 }]);
    const { tasks } = await claim(store, { limit: 1, ahead: 5 });
    assertEquals(tasks.length, 2);
    const task = { key: "k", replaces: true, instruction: "new" };
    assertEquals((await createSets(store, [task])).known, [[0, "existing"]]);
    await elapse(LEASE_MS + 1_000);
    assertEquals((await createSets(store, [task])).known, [[0, "replaced"]]);
    assertEquals((await taskOf(store, id)).instruction, "new");
  });

  test("create() with replaces leaves a task behind what it waits for", async ({ store }) => {
    const running = await startOne(store);
    const { id } = running.task;
    const [waiting = ""] = await create(store, [{ key: "k", after: [id] }]);
    const task = { key: "k", replaces: true, instruction: "new" };
    assertEquals((await createSets(store, [task])).known, [[0, "replaced"]]);
    assertEquals((await claim(store)).tasks, []);
    await record(store, complete(running));
    const next = await claimOne(store);
    assertEquals([next.task.id, next.task.instruction], [waiting, "new"]);
  });

  test("create() replaces many in one call", async ({ store }) => {
    const tasks = Array.from({ length: 250 }, (_, n) => ({ key: `key ${n}` }));
    const ids = await create(store, tasks);
    const { known, ids: again } = await createSets(
      store,
      [
        { key: "new" },
        ...tasks.map((it, n) => ({ ...it, replaces: true, priority: n })),
      ],
    );
    assertEquals(again.slice(1), ids);
    assertEquals(new Set(known.map(([, it]) => it)), new Set(["replaced"]));
    assertEquals(known.length, 250);
    assertEquals((await taskOf(store, nth(ids, 249))).priority, 249);
  });
}

function testRetried(test: Test): void {
  test("retry() keeps the key, and is refused while another has it", async ({ store }) => {
    const run = await startOne(store, { key: "k" });
    await record(store, fail(run, "no"));
    const { id } = run.task;
    const [result] = await store.admin.retry([id]);
    assert(result?.kind === "created");
    assertEquals((await taskOf(store, result.newId)).key, "k");
    assertEquals(await createOne(store, { key: "k" }), result.newId);
    assertEquals(await store.admin.retry([id]), [
      { kind: "refused", why: "key taken", otherId: result.newId },
    ]);
    await store.admin.cancel([result.newId]);
    // Of two with one key, the first.
    const [one, other] = await store.admin.retry([id, result.newId]);
    assert(one?.kind === "created");
    assertEquals(other, {
      kind: "refused",
      why: "key taken",
      otherId: one.newId,
    });
    assertEquals(await statesOf(store), { failed: 2, created: 1 });
  });

  test("create() and retry() with one key at the same time make one task", async ({ store }) => {
    const run = await startOne(store, { key: "k" });
    await record(store, fail(run, "no"));
    const keyed = newTasks([newTask({ key: "k" })]);
    await Promise.all([
      store.admin.retry([run.task.id]),
      store.admin.create(keyed),
      store.admin.create(keyed),
      store.admin.retry([run.task.id]),
    ]);
    assertEquals(await statesOf(store), { failed: 1, created: 1 });
  });
}
