/**
 * What every {@linkcode TaskStore} must do. One suite, run for each store and
 * each way to open it.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { UsageError } from "../../lib/base/errors.ts";
import type {
  ClaimOptions,
  ClaimResult,
  Preview,
  PreviewOptions,
  TaskStore,
} from "../../lib/store/contract.ts";
import type {
  AgentTask,
  ClaimedTask,
  NewTask,
  TaskState,
} from "../../lib/task/task.ts";
import { answersOf, parseTrace, UNREADABLE_KEY } from "../../lib/task/trace.ts";
import {
  askInput,
  cancel,
  complete,
  fail,
  noteProgress,
  release,
  retryLater,
  traceTime,
} from "../../lib/task/transitions.ts";

/** A store, and what another program could do to its tasks. */
export interface StoreUnderTest extends AsyncDisposable {
  readonly store: TaskStore;
  /** Writes to a task's row without asking the store. */
  changeTask(
    id: string,
    change: { state?: string; traceText?: string | null },
  ): Promise<void>;
  /** All that is stored of a task: its row and its history, as text. */
  storedTextOf(id: string): Promise<string>;
}

/** Registers the suite, or those tests `only`, for one way to open a store. */
export function testTaskStore(
  name: string,
  open: () => Promise<StoreUnderTest>,
  only = /^/,
): void {
  function test(
    behaviour: string,
    body: (subject: StoreUnderTest) => Promise<void>,
  ): void {
    if (!only.test(behaviour)) return;
    Deno.test(`${behaviour} (${name})`, async () => {
      await using subject = await open();
      await body(subject);
    });
  }

  test("create() returns the ids in the order of the tasks", async ({ store }) => {
    const given = crypto.randomUUID();
    const ids = await store.create([
      newTask({ instruction: "a" }),
      newTask({ instruction: "b", id: given }),
      newTask({ instruction: "c" }),
    ], at(0));
    assertEquals(ids.length, 3);
    assertEquals(ids[1], given);
    for (const [index, instruction] of ["a", "b", "c"].entries()) {
      const task = await store.get(ids[index] ?? "");
      assertEquals(task?.instruction, instruction);
    }
  });

  test("create() stores every field", async ({ store }) => {
    const fields = {
      id: crypto.randomUUID(),
      userId: crypto.randomUUID(),
      provider: "http",
      instruction: "Do it",
      targetType: "pr",
      targetRef: "octo/repo#12",
      priority: -7,
      runAt: at(5_000),
      maxAttempts: 9,
    } as const;
    await store.create([{ ...fields, trace: { key: [1, "two"] } }], at(1_234));
    const task = await store.get(fields.id);
    const expected: Partial<AgentTask> = {
      ...fields,
      traceText: '{"key":[1,"two"]}',
      state: "created",
      attempt: 0,
      leaseOwner: null,
      leaseExpiresAt: null,
      cancelRequestedAt: null,
      createdAt: at(1_234),
      updatedAt: at(1_234),
    };
    assertEquals({ ...task, ...expected } as unknown, task);
  });

  test("create() stores a task that says no more than it must", async ({ store }) => {
    const task = await createOne(store, {});
    const expected: Partial<AgentTask> = {
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
      maxAttempts: null,
      leaseOwner: null,
      leaseExpiresAt: null,
      cancelRequestedAt: null,
      createdAt: at(0),
      updatedAt: at(0),
    };
    assertEquals({ ...task, ...expected }, task);
  });

  test("create() stores issues and targets without a repository", async ({ store }) => {
    const ids = await store.create([
      newTask({ targetType: "issue", targetRef: "a/b#1" }),
      newTask({ targetType: "issue", targetRef: "#2147483647" }),
      newTask({ targetType: "pr", targetRef: "#3" }),
    ], at(0));
    const tasks = await Promise.all(ids.map((id) => store.get(id)));
    assertEquals(
      tasks.map((task) => [task?.targetType, task?.targetRef]),
      [["issue", "a/b#1"], ["issue", "#2147483647"], ["pr", "#3"]],
    );
  });

  test("create() writes one event for each task", async ({ store }) => {
    const ids = await createMany(store, 3);
    for (const id of ids) {
      const [event, ...more] = await store.events(id);
      assertEquals(more, []);
      assertEquals({ ...event, id: 0 }, {
        id: 0,
        taskId: id,
        kind: "created",
        occurredAt: at(0),
        attempt: 0,
        runner: null,
        detail: null,
      });
    }
  });

  test("create() adds nothing where one id is taken", async ({ store }) => {
    const { id } = await createOne(store, { instruction: "first" });
    const other = crypto.randomUUID();
    const error = await assertRejects(
      () =>
        store.create(
          [newTask({ id: other }), newTask({ id, instruction: "second" })],
          at(1),
        ),
      UsageError,
      id,
    );
    assertStringIncludes(error.message, "Cannot create task");
    assertEquals(await store.get(other), undefined);
    assertEquals(await store.events(other), []);
    assertEquals((await store.get(id))?.instruction, "first");
    assertEquals((await store.events(id)).length, 1);
    assertEquals(await store.countByState(), { created: 1 });
  });

  test("create() adds nothing where a batch has an id twice", async ({ store }) => {
    const id = crypto.randomUUID();
    await assertRejects(
      () =>
        store.create([newTask({}), newTask({ id }), newTask({ id })], at(0)),
      UsageError,
      id,
    );
    assertEquals(await store.countByState(), {});
  });

  test("create() works again after a batch that it refused", async ({ store }) => {
    const { id } = await createOne(store, {});
    await assertRejects(
      () => store.create([newTask({ id })], at(0)),
      UsageError,
    );
    await createMany(store, 2);
    assertEquals(await store.countByState(), { created: 3 });
  });

  test("create() adds nothing where one target can't be read", async ({ store }) => {
    await assertRejects(
      async () =>
        await store.create(
          [newTask({}), newTask({ targetType: "issue", targetRef: "a#b" })],
          at(0),
        ),
      UsageError,
      "a#b",
    );
    assertEquals(await store.countByState(), {});
  });

  test("create() keeps unicode, quotes, line ends and NUL bytes", async ({ store }) => {
    const text = "é 漢字 🦆 \u202E \"'\\ $1 ? ;--\r\n\t\0after NUL \u{10FFFF}";
    const { id } = await createOne(store, {
      instruction: text,
      provider: "漢🦆",
      trace: { [text]: text },
    });
    const task = await store.get(id);
    assertEquals(task?.instruction, text);
    assertEquals(task?.provider, "漢🦆");
    assertEquals(parseTrace(task?.traceText ?? null), { [text]: text });
    const [claimed] = (await claim(store)).claimed;
    assertEquals(claimed?.task.instruction, text);
    assertEquals(parseTrace(traceOf(claimed))?.[text], text);
  });

  test("create() keeps an instruction of 10 MB", async ({ store }) => {
    const instruction = "0123456789abcdé".repeat(650_000);
    const { id } = await createOne(store, { instruction });
    const [claimed] = (await claim(store)).claimed;
    assert(claimed?.task.instruction === instruction, "changed by the claim");
    await store.record([complete(claimed, at(1))], at(1));
    const task = await store.get(id);
    assertEquals(task?.state, "completed");
    assert(task?.instruction === instruction, "changed by the completion");
  });

  test("create() takes an empty batch", async ({ store }) => {
    assertEquals(await store.create([], at(0)), []);
    assertEquals(await store.countByState(), {});
  });

  test("create() takes more tasks than fit one chunk", async ({ store }) => {
    const ids = await createMany(store, 5_000);
    assertEquals(new Set(ids).size, 5_000);
    const tasks = await store.list({ limit: 10_000 });
    assertEquals(tasks.map(({ id }) => id).reverse(), ids);
  });

  test("get() finds nothing under an unknown id", async ({ store }) => {
    await createOne(store, {});
    assertEquals(await store.get(crypto.randomUUID()), undefined);
  });

  test("findByPrefix() finds what begins with the prefix", async ({ store }) => {
    const ids = [
      "abcdef00-0000-4000-8000-000000000001",
      "abcdef00-0000-4000-8000-000000000002",
      "abc00000-0000-4000-8000-000000000003",
      "00abcdef-0000-4000-8000-000000000004",
    ];
    await store.create(ids.map((id) => newTask({ id })), at(0));
    async function find(prefix: string, limit = 10): Promise<string[]> {
      const found = await store.findByPrefix(prefix, limit);
      return found.map(({ id }) => id).sort();
    }
    assertEquals(await find("abcdef00"), ids.slice(0, 2));
    assertEquals(await find("ABCDEF00-0000"), ids.slice(0, 2));
    assertEquals(await find("abc00000-0000-4000-8000-000000000003"), [ids[2]]);
    assertEquals(await find("abc"), [...ids.slice(0, 3)].sort());
    assertEquals((await find("abc", 2)).length, 2);
    assertEquals(await find("%"), []);
    assertEquals(await find("abc_"), []);
    assertEquals(await find("ff"), []);
  });

  test("list() gives the newest first, a batch backwards", async ({ store }) => {
    const old = await createMany(store, 3, { now: at(1) });
    const oldest = await createMany(store, 1, { now: at(0) });
    const newest = await createMany(store, 2, { now: at(2) });
    const tasks = await store.list({ limit: 10 });
    assertEquals(
      tasks.map(({ id }) => id),
      [...oldest, ...old, ...newest].reverse(),
    );
  });

  test("list() gives no more than its limit", async ({ store }) => {
    const ids = await createMany(store, 5);
    const tasks = await store.list({ limit: 2 });
    assertEquals(tasks.map(({ id }) => id), ids.slice(3).reverse());
  });

  test("list() leaves out the newest, as many as its offset", async ({ store }) => {
    const ids = await createMany(store, 3);
    const tasks = await store.list({ limit: 1, offset: 1 });
    assertEquals(tasks.map(({ id }) => id), [ids[1]]);
    assertEquals(await store.list({ limit: 5, offset: 3 }), []);
  });

  test("list() filters by state and provider", async ({ store }) => {
    const ids = await store.create([
      newTask({ provider: "a" }),
      newTask({ provider: "b" }),
      newTask({ provider: "a" }),
      newTask({ provider: "b" }),
    ], at(0));
    const { claimed } = await claim(store, { limit: 2 });
    await store.record([complete(first(claimed), at(1))], at(1));
    async function list(
      states?: readonly TaskState[],
      provider?: string,
    ): Promise<number[]> {
      const tasks = await store.list({ states, provider, limit: 10 });
      return tasks.map(({ id }) => ids.indexOf(id));
    }
    assertEquals(await list(["completed"]), [0]);
    assertEquals(await list(["running"]), [1]);
    assertEquals(await list(["running", "created"]), [3, 2, 1]);
    assertEquals(await list(["failed"]), []);
    assertEquals(await list(undefined, "a"), [2, 0]);
    assertEquals(await list(["created"], "b"), [3]);
    assertEquals(await list(["created"], "c"), []);
  });

  test("countByState() counts the states that occur", async ({ store }) => {
    assertEquals(await store.countByState(), {});
    await createMany(store, 4);
    const { claimed } = await claim(store, { limit: 3 });
    await store.record([
      complete(first(claimed), at(1)),
      fail(nth(claimed, 1), at(1), "no"),
    ], at(1));
    assertEquals(await store.countByState(), {
      created: 1,
      running: 1,
      completed: 1,
      failed: 1,
    });
  });

  test("claim() leases the oldest first", async ({ store }) => {
    const young = await createMany(store, 2, { now: at(-10) });
    const old = await createMany(store, 2, { now: at(-20) });
    const ids = idsOf(await claim(store, { limit: 3 }));
    assertEquals(ids, [...old, ...young.slice(0, 1)]);
  });

  test("claim() leases a higher priority first", async ({ store }) => {
    const ids = await store.create(
      [0, 5, -1, 5, 0].map((priority) => newTask({ priority })),
      at(-20),
    );
    const [late = ""] = await store.create([newTask({ priority: 9 })], at(-10));
    const order = [late, ...[1, 3, 0, 4, 2].map((index) => ids[index])];
    assertEquals(
      [
        ...idsOf(await claim(store, { limit: 2 })),
        ...idsOf(await claim(store, { limit: 2 })),
        ...idsOf(await claim(store, { limit: 9 })),
      ],
      order,
    );
  });

  test("claim() leases no more than its limit", async ({ store }) => {
    await createMany(store, 3);
    assertEquals((await claim(store, { limit: 0 })).claimed.length, 0);
    assertEquals((await claim(store, { limit: 1 })).claimed.length, 1);
    assertEquals((await claim(store, { limit: 5 })).claimed.length, 2);
    assertEquals((await claim(store, { limit: 5 })).claimed.length, 0);
  });

  test("claim() finds nothing in an empty store", async ({ store }) => {
    assertEquals(await claim(store), { claimed: [], ended: [] });
  });

  test("claim() says what is stored", async ({ store }) => {
    await store.create([
      newTask({
        instruction: "a",
        trace: { k: 1 },
        priority: 3,
        maxAttempts: 7,
      }),
      newTask({ targetType: "pr", targetRef: "o/r#5" }),
    ], at(-5));
    const { claimed } = await claim(store, { now: at(7), leaseMs: 1_000 });
    assertEquals(claimed.length, 2);
    for (const { task, lease } of claimed) {
      assertEquals(task, await store.get(task.id));
      assertEquals(task.state, "running");
      assertEquals(task.attempt, 1);
      assertEquals(task.leaseOwner, "runner-a");
      assertEquals(task.leaseExpiresAt, at(1_007));
      assertEquals(task.updatedAt, at(7));
      assertEquals(task.createdAt, at(-5));
      assertEquals(lease.taskId, task.id);
      assertEquals(lease.owner, "runner-a");
      assertEquals(lease.attempt, 1);
    }
  });

  test("claim() leaves a task until its run_at has come", async ({ store }) => {
    const { id } = await createOne(store, { runAt: at(5_000) });
    assertEquals(idsOf(await claim(store, { now: at(0) })), []);
    assertEquals(idsOf(await claim(store, { now: at(4_999) })), []);
    const { claimed } = await claim(store, { now: at(5_000) });
    assertEquals(claimed.map(({ task }) => task.id), [id]);
    assertEquals(first(claimed).task.runAt, null);
  });

  test("claim() takes a task whose lease has run out, at that moment", async ({ store }) => {
    const { id } = await createOne(store, {});
    const old = await claim(store, { leaseMs: 500, owner: "runner-a" });
    assertEquals(idsOf(old), [id]);
    const early = await claim(store, { now: at(499), owner: "runner-b" });
    assertEquals(idsOf(early), []);
    const { claimed } = await claim(store, { now: at(500), owner: "runner-b" });
    assertEquals(first(claimed).task.id, id);
    assertEquals(first(claimed).task.leaseOwner, "runner-b");
    assertEquals(first(claimed).lease.attempt, 2);
  });

  test("claim() takes an expired lease while other tasks wait", async ({ store }) => {
    const ids = await createMany(store, 6);
    await claim(store, { limit: 2, leaseMs: 100 });
    const later = await claim(store, { limit: 10, now: at(200) });
    assertEquals(idsOf(later).sort(), [...ids].sort());
  });

  test("claim() takes a running task that has no lease", async ({ store, changeTask }) => {
    const { id } = await createOne(store, {});
    await changeTask(id, { state: "running" });
    assertEquals(idsOf(await claim(store)), [id]);
    assertEquals(idsOf(await claim(store)), []);
  });

  test("claim() leaves needs_input, completed and failed alone", async (subject) => {
    const { store, storedTextOf } = subject;
    const ids = await createMany(store, 3);
    const { claimed } = await claim(store, { leaseMs: 10 });
    await store.record([
      askInput(nth(claimed, 0), at(1), "Which?"),
      complete(nth(claimed, 1), at(1)),
      fail(nth(claimed, 2), at(1), "no"),
    ], at(1));
    const before = await Promise.all(ids.map(storedTextOf));
    const result = await claim(store, { now: at(1e12), maxAttempts: 1 });
    assertEquals(result, { claimed: [], ended: [] });
    assertEquals(await Promise.all(ids.map(storedTextOf)), before);
  });

  test("claim() leases nothing twice over many claims", async ({ store }) => {
    const ids = await createMany(store, 500);
    const seen: string[] = [];
    // Fractions of a second and more, so that whatever a store remembers of
    // earlier claims is used in some and stale in others.
    for (let now = 0; seen.length < 500; now += 170) {
      const { claimed } = await claim(store, { limit: 7, now: at(now) });
      assertNotEquals(claimed.length, 0);
      seen.push(...claimed.map(({ task }) => task.id));
    }
    assertEquals(seen, ids);
    assertEquals(idsOf(await claim(store)), []);
  });

  test("claim() leases nothing twice while tasks come and go", async ({ store }) => {
    const created = await createMany(store, 20);
    const seen: string[] = [];
    for (let round = 0; round < 40; round++) {
      const now = at(round * 90);
      const { claimed } = await claim(store, { limit: 3, now });
      seen.push(...claimed.map(({ task }) => task.id));
      await store.record(claimed.map((it) => complete(it, now)), now);
      if (round < 20) created.push(...await createMany(store, 1, { now }));
    }
    assertEquals(seen, created);
    assertEquals(await store.countByState(), { completed: created.length });
  });

  test("claim() leases nothing twice when called all at once", async ({ store }) => {
    const ids = await createMany(store, 40);
    const results = await Promise.all(
      Array.from({ length: 10 }, () => claim(store, { limit: 5 })),
    );
    assertEquals(results.flatMap(idsOf), ids);
  });

  test("claim() makes a fresh lease every time", async ({ store }) => {
    await createMany(store, 2);
    const leases = new Set<string>();
    for (let n = 0; n < 4; n++) {
      const { claimed } = await claim(store, {
        now: at(n * 100),
        leaseMs: 100,
        maxAttempts: 9,
      });
      assertEquals(claimed.map(({ lease }) => lease.attempt), [n + 1, n + 1]);
      for (const { task, lease } of claimed) {
        leases.add(`${task.id} ${lease.id}`);
      }
    }
    assertEquals(leases.size, 8);
    const ids = new Set([...leases].map((key) => key.split(" ")[1]));
    assert(ids.size >= 4, "a lease id came twice");
  });

  test("claim() writes HandsFree's keys into the trace", async ({ store }) => {
    await createOne(store, {
      trace: { first: 1, progress: "queued", last: 2 },
    });
    await createOne(store, {});
    const { claimed } = await claim(store, { now: at(1_500) });
    assertEquals(
      claimed.map((it) => JSON.parse(traceOf(it) ?? "")),
      [
        {
          first: 1,
          progress: "Task started",
          last: 2,
          auto_started_at: "2026-01-01T00:00:01.500+00:00",
          auto_started_by: "runner_loop",
        },
        {
          auto_started_at: "2026-01-01T00:00:01.500+00:00",
          auto_started_by: "runner_loop",
          progress: "Task started",
        },
      ],
    );
    assertEquals(
      Object.keys(JSON.parse(traceOf(first(claimed)) ?? ""))[0],
      "first",
    );
  });

  test("claim() keeps the first start's time at a later attempt", async ({ store }) => {
    await createOne(store, {});
    const old = await claim(store, { leaseMs: 100 });
    const { claimed } = await claim(store, { now: at(2_000) });
    assertEquals(traceOf(first(claimed)), traceOf(first(old.claimed)));
    assertEquals(
      parseTrace(traceOf(first(claimed)))?.auto_started_at,
      traceTime(at(0)),
    );
  });

  test("claim() is written into the history", async ({ store }) => {
    const { id } = await createOne(store, {});
    await claim(store, { now: at(10), leaseMs: 10, owner: "runner-a" });
    await claim(store, { now: at(20), leaseMs: 10, owner: "runner-b" });
    assertEquals(await historyOf(store, id), [
      ["created", 0, null, null, 0],
      ["started", 1, "runner-a", null, 10],
      ["started", 2, "runner-b", null, 20],
    ]);
  });

  test("claim() fails a task whose runner died at every attempt, once", async ({ store }) => {
    const { id } = await createOne(store, {});
    for (let n = 0; n < 3; n++) {
      const { claimed, ended } = await claim(store, {
        now: at(n * 100),
        leaseMs: 100,
        owner: `runner-${n}`,
      });
      assertEquals(claimed.map(({ task }) => task.id), [id]);
      assertEquals(ended, []);
    }
    assertEquals(await claim(store, { now: at(299) }), {
      claimed: [],
      ended: [],
    });
    const result = await claim(store, { now: at(300) });
    assertEquals(result.claimed, []);
    assertEquals(endedOf(result), [id]);
    assertEquals(result.ended[0]?.to, "failed");
    const task = await store.get(id);
    assertEquals(task?.state, "failed");
    assertEquals(task?.attempt, 3);
    assertEquals(task?.leaseOwner, null);
    const trace = parseTrace(task?.traceText ?? null);
    assertStringIncludes(String(trace?.error), "died at each of 3 attempts");
    assertStringIncludes(String(trace?.error), "runner-2");
    assertEquals(trace?.failed_at, traceTime(at(300)));
    assertEquals(trace?.failed_by, "runner_loop");
    const last = (await store.events(id)).at(-1);
    assertEquals(last?.kind, "failed");
    assertEquals(last?.attempt, 3);
    assertStringIncludes(last?.detail ?? "", "died");
    for (const now of [at(300), at(5_000), at(1e12)]) {
      assertEquals(await claim(store, { now }), { claimed: [], ended: [] });
    }
  });

  test("claim() fails those that died and leases the others", async ({ store }) => {
    const dead = await createMany(store, 3, { task: { maxAttempts: 1 } });
    await claim(store, { leaseMs: 100 });
    const waiting = await createMany(store, 2);
    const { claimed, ended } = await claim(store, { now: at(2_000) });
    assertEquals(claimed.map(({ task }) => task.id), waiting);
    assertEquals(endedOf({ claimed, ended }).sort(), [...dead].sort());
    assertEquals(await store.countByState(), { running: 2, failed: 3 });
  });

  test("claim() lets a task's own max_attempts win", async ({ store }) => {
    const [one = "", five = ""] = await store.create(
      [newTask({ maxAttempts: 1 }), newTask({ maxAttempts: 5 })],
      at(0),
    );
    async function pass(n: number): Promise<[string[], string[]]> {
      const result = await claim(store, {
        now: at(n * 2_000),
        leaseMs: 100,
        maxAttempts: 3,
      });
      return [idsOf(result), endedOf(result)];
    }
    assertEquals(await pass(0), [[one, five], []]);
    assertEquals(await pass(1), [[five], [one]]);
    assertEquals(await pass(2), [[five], []]);
    assertEquals(await pass(3), [[five], []]);
    assertEquals(await pass(4), [[five], []]);
    assertEquals(await pass(5), [[], [five]]);
  });

  test("claim() counts no task without a lease as one whose runner died", async (subject) => {
    const { store, changeTask } = subject;
    const [answered = "", retried = ""] = await createMany(store, 2);
    const { claimed } = await claim(store, { maxAttempts: 1 });
    await store.record([
      askInput(nth(claimed, 0), at(1), "Which?"),
      retryLater(nth(claimed, 1), at(1), { error: "no", runAt: at(2) }),
    ], at(1));
    await changeTask(answered, { state: "running" });
    const result = await claim(store, { now: at(1e9), maxAttempts: 1 });
    assertEquals(idsOf(result), [answered, retried]);
    assertEquals(result.ended, []);
    // What asked goes on with its attempt.
    assertEquals(result.claimed.map(({ lease }) => lease.attempt), [1, 2]);
  });

  test("claim() gives a released task its attempt again", async ({ store }) => {
    const { id } = await createOne(store, {});
    for (let n = 0; n < 4; n++) {
      const now = at(n * 10_000);
      const { claimed, ended } = await claim(store, {
        now,
        maxAttempts: 1,
      });
      assertEquals(ended, []);
      assertEquals(first(claimed).lease.attempt, 1);
      await store.record([release(first(claimed), "shutdown")], now);
      assertEquals((await store.get(id))?.attempt, 0);
    }
  });

  for (
    const [what, text] of [
      ["a list", '[1, 2, {"a": 3}]'],
      ["a text", '"just text"'],
      ["a number", "42"],
      ["null", "null"],
      ["broken JSON", '{"auto_started_at": "2026", '],
      ["plain words", "Not JSON at all: 漢字 🦆"],
    ] as const
  ) {
    test(`claim() takes and keeps a trace that is ${what}`, async (subject) => {
      const { store, changeTask } = subject;
      const { id } = await createOne(store, {});
      const other = await createOne(store, {});
      await changeTask(id, { traceText: text });
      const { claimed } = await claim(store);
      assertEquals(claimed.map(({ task }) => task.id), [id, other.id]);
      await store.record(claimed.map((it) => complete(it, at(1))), at(1));
      const task = await store.get(id);
      assertEquals(task?.state, "completed");
      const trace = parseTrace(task?.traceText ?? null);
      assertEquals(trace?.[UNREADABLE_KEY], text);
      assertEquals(trace?.auto_started_at, traceTime(at(0)));
      assertEquals(trace?.result, "success");
    });
  }

  for (const text of ["", "  \n", null]) {
    test(`claim() reads the trace ${JSON.stringify(text)} as none`, async (subject) => {
      const { store, changeTask } = subject;
      const { id } = await createOne(store, {});
      await changeTask(id, { traceText: text });
      const { claimed } = await claim(store);
      await store.record([complete(first(claimed), at(1))], at(1));
      const task = await store.get(id);
      assertEquals(JSON.parse(task?.traceText ?? ""), {
        auto_started_at: traceTime(at(0)),
        auto_started_by: "runner_loop",
        progress: "Task started",
        completed_at: traceTime(at(1)),
        completed_by: "runner_loop",
        result: "success",
      });
    });
  }

  test("record() keeps what Python writes, as text", async (subject) => {
    const { store, changeTask } = subject;
    const { id } = await createOne(store, {});
    const members = '"big": 123456789012345678901234567890, ' +
      '"float": 1.0, "e": 1e400, "nan": NaN, "inf": -Infinity, ' +
      '"text": "caf\\u00e9 \\ud83e\\udd86 NaN", "nested": {"id": 9007199254740993}';
    await changeTask(id, { traceText: `{${members}}` });
    const { claimed } = await claim(store);
    await store.record([complete(first(claimed), at(1))], at(1));
    const task = await store.get(id);
    const text = task?.traceText ?? "";
    assertEquals(text.slice(0, members.length + 3), `{${members}, `);
    assertStringIncludes(text, '"result"');
  });

  test("record() writes a completion", async ({ store }) => {
    const { id } = await createOne(store, { trace: { mine: 1 } });
    const [claimed] = (await claim(store)).claimed;
    assert(claimed);
    const [result] = await store.record([
      complete(claimed, at(1_000), {
        result: { n: 1n << 60n },
        message: "Done",
      }),
    ], at(1_001));
    const task = await store.get(id);
    assertEquals(result, { applied: true, traceText: task?.traceText ?? null });
    assertEquals(task?.state, "completed");
    assertEquals(task?.leaseOwner, null);
    assertEquals(task?.leaseExpiresAt, null);
    assertEquals(task?.attempt, 1);
    assertEquals(task?.updatedAt, at(1_001));
    assertEquals(parseTrace(task?.traceText ?? null), {
      mine: 1,
      auto_started_at: traceTime(at(0)),
      auto_started_by: "runner_loop",
      progress: "Done",
      completed_at: traceTime(at(1_000)),
      completed_by: "runner_loop",
      result: "success",
      output: { n: 1n << 60n },
    });
  });

  test("record() writes a failure", async ({ store }) => {
    const { id } = await createOne(store, {});
    const [claimed] = (await claim(store)).claimed;
    assert(claimed);
    const text = 'exit 1: "é 🦆"\n\0';
    await store.record([fail(claimed, at(1), text)], at(1));
    const task = await store.get(id);
    assertEquals(task?.state, "failed");
    const trace = parseTrace(task?.traceText ?? null);
    assertEquals(trace?.error, text);
    assertEquals(trace?.failed_by, "runner_loop");
    assertEquals((await store.events(id)).at(-1)?.detail, text);
  });

  test("record() makes a task wait for input", async ({ store }) => {
    const { id } = await createOne(store, {});
    const [claimed] = (await claim(store)).claimed;
    assert(claimed);
    await store.record([askInput(claimed, at(1), "Which?")], at(1));
    const task = await store.get(id);
    assertEquals(task?.state, "needs_input");
    assertEquals(task?.leaseOwner, null);
    assertEquals(task?.leaseExpiresAt, null);
    assertEquals(parseTrace(task?.traceText ?? null)?.question, "Which?");
  });

  test("record() makes a task wait for its retry", async ({ store }) => {
    const { id } = await createOne(store, {});
    const [claimed] = (await claim(store)).claimed;
    assert(claimed);
    const retry = retryLater(claimed, at(1), { error: "no", runAt: at(5_000) });
    await store.record([retry], at(1));
    const task = await store.get(id);
    assertEquals(task?.state, "running");
    assertEquals(task?.runAt, at(5_000));
    assertEquals(task?.leaseOwner, null);
    assertEquals(task?.leaseExpiresAt, null);
    assertEquals(idsOf(await claim(store, { now: at(4_999) })), []);
    const again = await claim(store, { now: at(5_000) });
    assertEquals(idsOf(again), [id]);
    assertEquals(first(again.claimed).lease.attempt, 2);
  });

  test("record() gives a released task back", async ({ store }) => {
    const { id } = await createOne(store, { trace: { mine: 1 } });
    const [claimed] = (await claim(store)).claimed;
    assert(claimed);
    const [result] = await store.record([release(claimed, "shutdown")], at(1));
    assertEquals(result, { applied: true, traceText: traceOf(claimed) });
    const task = await store.get(id);
    assertEquals(task?.state, "running");
    assertEquals(task?.attempt, 0);
    assertEquals(task?.leaseOwner, null);
    assertEquals(task?.traceText ?? null, traceOf(claimed));
    assertEquals(idsOf(await claim(store, { now: at(1) })), [id]);
  });

  test("record() keeps the lease of a run that notes its progress", async ({ store }) => {
    const { id } = await createOne(store, {});
    const [claimed] = (await claim(store, { leaseMs: 1_000 })).claimed;
    assert(claimed);
    const [result] = await store.record(
      [noteProgress(claimed, at(5), "half")],
      at(5),
    );
    const task = await store.get(id);
    assertEquals(result, { applied: true, traceText: task?.traceText ?? null });
    assertEquals(task?.state, "running");
    assertEquals(task?.leaseOwner, "runner-a");
    assertEquals(task?.leaseExpiresAt, at(1_000));
    assertEquals(task?.attempt, 1);
    const trace = parseTrace(task?.traceText ?? null);
    assertEquals(trace?.progress, "half");
    assertEquals(trace?.last_progress_at, traceTime(at(5)));
    const { held } = await store.heartbeat([claimed.lease], at(2_000));
    assertEquals([...held], [id]);
  });

  test("record() takes an empty group", async ({ store }) => {
    assertEquals(await store.record([], at(0)), []);
  });

  const stale = {
    complete: (it: ClaimedTask) => complete(it, at(2_000), { message: "late" }),
    fail: (it: ClaimedTask) => fail(it, at(2_000), "late"),
    askInput: (it: ClaimedTask) => askInput(it, at(2_000), "late"),
    noteProgress: (it: ClaimedTask) => noteProgress(it, at(2_000), "late"),
    release: (it: ClaimedTask) => release(it, "late"),
    retryLater: (it: ClaimedTask) =>
      retryLater(it, at(2_000), { error: "late", runAt: at(9_000) }),
  };
  for (const [write, transitionOf] of Object.entries(stale)) {
    test(`record() refuses ${write}() of a run that was taken over`, async (subject) => {
      const { store, storedTextOf } = subject;
      const { id } = await createOne(store, {});
      const old = first((await claim(store, { leaseMs: 100 })).claimed);
      const { claimed } = await claim(store, { now: at(1_000), owner: "b" });
      const before = await storedTextOf(id);
      const results = await store.record([transitionOf(old)], at(2_000));
      assertEquals(results, [{
        applied: false,
        traceText: old.task.traceText,
      }]);
      assertEquals(await storedTextOf(id), before);
      const [result] = await store.record(
        [complete(first(claimed), at(2_001))],
        at(2_001),
      );
      assertEquals(result?.applied, true);
      const after = await storedTextOf(id);
      await store.record([transitionOf(old)], at(2_002));
      assertEquals(await storedTextOf(id), after);
    });
  }

  test("record() changes no outcome that was recorded", async (subject) => {
    const { store, storedTextOf } = subject;
    const { id } = await createOne(store, {});
    const [claimed] = (await claim(store)).claimed;
    assert(claimed);
    await store.record([complete(claimed, at(1))], at(1));
    const before = await storedTextOf(id);
    const results = await store.record(
      [complete(claimed, at(1)), fail(claimed, at(2), "late")],
      at(2),
    );
    assertEquals(results.map(({ applied }) => applied), [false, false]);
    assertEquals(await storedTextOf(id), before);
  });

  test("record() writes a lease that ran out while nobody took it", async ({ store }) => {
    const { id } = await createOne(store, {});
    const [claimed] = (await claim(store, { leaseMs: 100 })).claimed;
    assert(claimed);
    const [result] = await store.record(
      [complete(claimed, at(9_000))],
      at(9_000),
    );
    assertEquals(result?.applied, true);
    assertEquals((await store.get(id))?.state, "completed");
  });

  test("record() refuses a run whose task does not exist", async ({ store }) => {
    await createOne(store, {});
    const [claimed] = (await claim(store)).claimed;
    assert(claimed);
    const taskId = crypto.randomUUID();
    const lease = { ...claimed.lease, taskId };
    const [result] = await store.record(
      [complete({ ...claimed, lease }, at(1))],
      at(1),
    );
    assertEquals(result?.applied, false);
    assertEquals(await store.events(taskId), []);
  });

  test("record() merges into a trace that somebody else changed", async (subject) => {
    const { store, changeTask } = subject;
    const { id } = await createOne(store, { trace: { mine: 1 } });
    const other = await createOne(store, {});
    const { claimed } = await claim(store);
    await changeTask(id, {
      traceText: '{"theirs": 12345678901234567890, "mine": 2}',
    });
    const results = await store.record(
      claimed.map((it) => complete(it, at(1))),
      at(1),
    );
    const task = await store.get(id);
    assertEquals(results.map(({ applied }) => applied), [true, true]);
    assertEquals(results[0]?.traceText ?? null, task?.traceText ?? null);
    assertEquals(parseTrace(task?.traceText ?? null), {
      theirs: 12345678901234567890n,
      mine: 2,
      completed_at: traceTime(at(1)),
      completed_by: "runner_loop",
      result: "success",
    });
    assertEquals((await store.get(other.id))?.state, "completed");
  });

  test("record() keeps a changed trace when it gives a task back", async (subject) => {
    const { store, changeTask } = subject;
    const { id } = await createOne(store, {});
    const [claimed] = (await claim(store)).claimed;
    assert(claimed);
    await changeTask(id, { traceText: '{"theirs": 1}' });
    const [result] = await store.record([release(claimed, "shutdown")], at(1));
    assertEquals(result, { applied: true, traceText: '{"theirs": 1}' });
    assertEquals((await store.get(id))?.traceText, '{"theirs": 1}');
  });

  test("record() takes traces that were set to null and to nothing meanwhile", async (subject) => {
    const { store, changeTask } = subject;
    const ids = await createMany(store, 3);
    const { claimed } = await claim(store);
    await changeTask(ids[0] ?? "", { traceText: null });
    await changeTask(ids[1] ?? "", { traceText: "null" });
    await changeTask(ids[2] ?? "", { traceText: "" });
    const results = await store.record(
      claimed.map((it) => complete(it, at(1))),
      at(1),
    );
    assertEquals(results.map(({ applied }) => applied), [true, true, true]);
    const traces = await Promise.all(ids.map((id) => store.get(id)));
    assertEquals(
      traces.map((task) =>
        parseTrace(task?.traceText ?? null)?.[UNREADABLE_KEY]
      ),
      [undefined, "null", undefined],
    );
  });

  for (const state of ["failed", "completed", "needs_input"] as const) {
    test(`record() does not overwrite ${state}, set by a person`, async (subject) => {
      const { store, changeTask, storedTextOf } = subject;
      const { id } = await createOne(store, {});
      const [claimed] = (await claim(store)).claimed;
      assert(claimed);
      await changeTask(id, { state, traceText: '{"by": "a person"}' });
      const before = await storedTextOf(id);
      const results = await store.record([complete(claimed, at(1))], at(1));
      assertEquals(results, [{
        applied: false,
        traceText: claimed.task.traceText,
      }]);
      assertEquals(await storedTextOf(id), before);
    });
  }

  test("record() writes a group of which some lost their lease", async (subject) => {
    const { store, changeTask, storedTextOf } = subject;
    const ids = await createMany(store, 3_000);
    const { claimed } = await claim(store, { limit: 3_000 });
    const lost = new Set(ids.filter((_, index) => index % 1_000 === 7));
    for (const id of lost) await changeTask(id, { state: "failed" });
    const before = await Promise.all([...lost].map(storedTextOf));
    const results = await store.record(
      claimed.map((it, index) =>
        index % 2 === 0
          ? complete(it, at(1), { message: `n ${index}` })
          : fail(it, at(1), "no")
      ),
      at(1),
    );
    assertEquals(
      results.map(({ applied }) => applied),
      claimed.map(({ task }) => !lost.has(task.id)),
    );
    assertEquals(await Promise.all([...lost].map(storedTextOf)), before);
    assertEquals(await store.countByState(), {
      completed: 1_500,
      failed: 1_500,
    });
    for (const index of [0, 1, 2_998, 2_999]) {
      const events = await store.events(ids[index] ?? "");
      const detail = index % 2 === 0 ? `n ${index}` : "no";
      assertEquals(events.length, 3);
      assertEquals(events.at(-1)?.detail, detail);
    }
  });

  test("record() gives each task of a mixed group its own attempt and time", async ({ store }) => {
    const ids = await createMany(store, 4);
    const { claimed } = await claim(store, { limit: 4 });
    const [one, two, three, four] = claimed;
    assert(one && two && three && four);
    await store.record([
      complete(one, at(1)),
      retryLater(two, at(1), { error: "no", runAt: at(5_000) }),
      release(three, "shutdown"),
      askInput(four, at(1), "Which?", { answerWithinMs: 7_999 }),
    ], at(1));
    const tasks = await Promise.all(ids.map((id) => store.get(id)));
    assertEquals(
      tasks.map((task) => [task?.state, task?.attempt, task?.runAt]),
      [
        ["completed", 1, null],
        ["running", 1, at(5_000)],
        ["running", 0, null],
        ["needs_input", 0, at(8_000)],
      ],
    );
  });

  test("record() applies two of one task in their order", async ({ store }) => {
    const { id } = await createOne(store, {});
    const [claimed] = (await claim(store)).claimed;
    assert(claimed);
    const results = await store.record([
      noteProgress(claimed, at(1), "one"),
      noteProgress(claimed, at(2), "two"),
      complete(claimed, at(3)),
      noteProgress(claimed, at(4), "too late"),
    ], at(5));
    assertEquals(
      results.map(({ applied }) => applied),
      [true, true, true, false],
    );
    const task = await store.get(id);
    assertEquals(task?.state, "completed");
    const trace = parseTrace(task?.traceText ?? null);
    assertEquals(trace?.progress, "two");
    assertEquals(trace?.last_progress_at, traceTime(at(2)));
    assertEquals(trace?.result, "success");
    assertEquals(await historyOf(store, id), [
      ["created", 0, null, null, 0],
      ["started", 1, "runner-a", null, 0],
      ["progress", 1, "runner-a", "one", 5],
      ["progress", 1, "runner-a", "two", 5],
      ["completed", 1, "runner-a", null, 5],
    ]);
  });

  test("record() applies the same result once", async ({ store }) => {
    const { id } = await createOne(store, {});
    const [claimed] = (await claim(store)).claimed;
    assert(claimed);
    const results = await store.record(
      [complete(claimed, at(1)), complete(claimed, at(1))],
      at(1),
    );
    assertEquals(results.map(({ applied }) => applied), [true, false]);
    assertEquals((await store.get(id))?.state, "completed");
    assertEquals((await store.events(id)).length, 3);
  });

  test("record() says of the very same transition that it was applied", async ({ store }) => {
    const { id } = await createOne(store, {});
    const [claimed] = (await claim(store)).claimed;
    assert(claimed);
    const done = complete(claimed, at(1));
    const results = await store.record([done, done], at(1));
    assertEquals(results.map(({ applied }) => applied), [true, false]);
    assertEquals((await store.events(id)).length, 3);
  });

  test("record() writes one event for each transition, in their order", async ({ store }) => {
    const { id } = await createOne(store, {});
    async function again(now: Date, owner: string): Promise<ClaimedTask> {
      return first(
        (await claim(store, { now, owner, maxAttempts: 9 })).claimed,
      );
    }
    let run = await again(at(1), "a");
    await store.record([noteProgress(run, at(2), "half")], at(2));
    await store.record(
      [retryLater(run, at(3), { error: "no", runAt: at(4) })],
      at(3),
    );
    run = await again(at(4), "b");
    await store.record([release(run, "shutdown")], at(5));
    run = await again(at(6), "c");
    await store.record([complete(run, at(7), { message: "Done" })], at(7));
    await store.record([fail(run, at(8), "late")], at(8));
    assertEquals(await historyOf(store, id), [
      ["created", 0, null, null, 0],
      ["started", 1, "a", null, 1],
      ["progress", 1, "a", "half", 2],
      ["retry_scheduled", 1, "a", "no", 3],
      ["started", 2, "b", null, 4],
      ["released", 2, "b", "shutdown", 5],
      ["started", 2, "c", null, 6],
      ["completed", 2, "c", "Done", 7],
    ]);
    const ids = (await store.events(id)).map((event) => event.id);
    assertEquals(ids, [...ids].sort((a, b) => a - b));
    assertEquals(new Set(ids).size, ids.length);
  });

  test("heartbeat() extends the leases it is given", async ({ store }) => {
    await createMany(store, 4);
    const mine = (await claim(store, { limit: 2, leaseMs: 1_000 })).claimed;
    const theirs =
      (await claim(store, { limit: 2, leaseMs: 1_000, owner: "b" })).claimed;
    const { held } = await store.heartbeat(leasesOf(mine), at(9_000));
    assertEquals([...held].sort(), mine.map(({ task }) => task.id).sort());
    for (const { task } of mine) {
      assertEquals((await store.get(task.id))?.leaseExpiresAt, at(9_000));
    }
    for (const { task } of theirs) {
      assertEquals((await store.get(task.id))?.leaseExpiresAt, at(1_000));
    }
    const later = await claim(store, { now: at(2_000) });
    assertEquals(idsOf(later), theirs.map(({ task }) => task.id));
  });

  test("heartbeat() leaves the others of the same claim alone", async ({ store }) => {
    await createMany(store, 2);
    const { claimed } = await claim(store, { leaseMs: 1_000 });
    const [one, other] = claimed;
    assert(one && other);
    const { held } = await store.heartbeat([one.lease], at(9_000));
    assertEquals([...held], [one.task.id]);
    const task = await store.get(other.task.id);
    assertEquals(task?.leaseExpiresAt, at(1_000));
  });

  test("heartbeat() reports the leases that are lost", async (subject) => {
    const { store, changeTask, storedTextOf } = subject;
    const [kept = "", ended = "", stopped = "", taken = ""] = await createMany(
      store,
      4,
    );
    const slow = (await claim(store, { limit: 3 })).claimed;
    const old = (await claim(store, { leaseMs: 10 })).claimed;
    await store.record([complete(nth(slow, 1), at(1))], at(1));
    await changeTask(stopped, { state: "failed" });
    const newer = await claim(store, { now: at(2_000), owner: "b" });
    assertEquals(idsOf(newer), [taken]);
    const lost = [ended, stopped, taken];
    const before = await Promise.all(lost.map(storedTextOf));
    const { held } = await store.heartbeat(
      leasesOf([...slow, ...old]),
      at(99_000),
    );
    assertEquals([...held], [kept]);
    assertEquals(await Promise.all(lost.map(storedTextOf)), before);
  });

  test("heartbeat() takes no leases", async ({ store }) => {
    await createOne(store, {});
    await claim(store, { leaseMs: 1_000 });
    const { held } = await store.heartbeat([], at(9_000));
    assertEquals(held.size, 0);
    assertEquals(await store.nextDueAt(at(0)), at(1_000));
  });

  test("claim() takes a lease that is over by its cutoff, no other", async ({ store }) => {
    const [first = "", second = ""] = await createMany(store, 2);
    await claim(store, { limit: 1, leaseMs: 1_000 });
    await claim(store, { limit: 1, leaseMs: 1_001 });
    const result = await claim(store, {
      now: at(9_000),
      leaseCutoff: at(1_000),
      maxAttempts: 2,
    });
    assertEquals(idsOf(result), [first]);
    const later = await claim(store, { now: at(9_500), leaseMs: 1 });
    assertEquals(idsOf(later), [second]);
    const last = await claim(store, {
      now: at(20_000),
      leaseCutoff: at(9_500),
      maxAttempts: 1,
    });
    assertEquals([...idsOf(last), ...endedOf(last)], []);
  });

  test("claim() leaves no more room to a provider than it has", async ({ store }) => {
    const providers = ["a", "a", "b", "c", "a", "b", "c", "a"];
    const ids = await store.create(
      providers.map((provider) => newTask({ provider })),
      at(0),
    );
    async function take(
      room: Record<string, number> | undefined,
      limit = 100,
    ): Promise<number[]> {
      const providerRoom = room && new Map(Object.entries(room));
      const result = await claim(store, { limit, providerRoom });
      return idsOf(result).map((id) => ids.indexOf(id));
    }
    assertEquals(await take({ a: 1, b: 0 }, 2), [0, 3]);
    assertEquals(await take({ a: 1, b: 0, c: 0 }), [1]);
    assertEquals(await take({ a: 0, b: 0, c: 0, unknown: 5 }), []);
    assertEquals(await take({ a: 1 }), [2, 4, 5, 6]);
    assertEquals(await take(undefined), [7]);
  });

  test("cancel() fails a task that nobody works on", async ({ store }) => {
    const [created = "", asked = "", retried = "", dead = ""] =
      await createMany(store, 4, { task: { trace: { mine: 1 } } });
    const { claimed } = await claim(store, { leaseMs: 100 });
    await store.record([
      release(nth(claimed, 0), "shutdown"),
      askInput(nth(claimed, 1), at(1), "Which?"),
      retryLater(nth(claimed, 2), at(1), { error: "no", runAt: at(9_000) }),
    ], at(1));
    for (const id of [created, asked, retried, dead]) {
      assertEquals(await store.cancel(id, at(5_000)), "cancelled");
      const task = await store.get(id);
      assertEquals(task?.state, "failed");
      assertEquals(task?.leaseOwner, null);
      assertEquals(task?.updatedAt, at(5_000));
      const trace = parseTrace(task?.traceText ?? null);
      assertEquals(trace?.mine, 1);
      assertEquals(trace?.result, "cancelled");
      const event = (await store.events(id)).at(-1);
      assertEquals(event?.kind, "cancelled");
      assertEquals(event?.occurredAt, at(5_000));
    }
    const result = await claim(store, { now: at(99_000), maxAttempts: 1 });
    assertEquals(result, { claimed: [], ended: [] });
    const late = await store.record([complete(nth(claimed, 3), at(6))], at(6));
    assertEquals(late.map(({ applied }) => applied), [false]);
  });

  test("cancel() fails a task that was never claimed", async ({ store }) => {
    const { id } = await createOne(store, {});
    const other = await createOne(store, {});
    assertEquals(await store.cancel(id, at(1)), "cancelled");
    assertEquals((await store.get(id))?.state, "failed");
    assertEquals(idsOf(await claim(store)), [other.id]);
  });

  test("cancel() keeps a trace that can't be read", async ({ store, changeTask }) => {
    const { id } = await createOne(store, {});
    await changeTask(id, { traceText: "[1, 2]" });
    assertEquals(await store.cancel(id, at(1)), "cancelled");
    const task = await store.get(id);
    const trace = parseTrace(task?.traceText ?? null);
    assertEquals(trace?.[UNREADABLE_KEY], "[1, 2]");
  });

  test("cancel() asks the runner of a task to stop", async ({ store }) => {
    await createMany(store, 2);
    const { claimed } = await claim(store);
    const [wanted, other] = claimed;
    assert(wanted && other);
    const { id } = wanted.task;
    assertEquals(await store.cancel(id, at(10)), "requested");
    const task = await store.get(id);
    assertEquals(task?.state, "running");
    assertEquals(task?.cancelRequestedAt, at(10));
    assertEquals((await store.events(id)).at(-1)?.kind, "cancel_requested");
    const { held, cancelled } = await store.heartbeat(
      leasesOf(claimed),
      at(90_000),
    );
    assertEquals([...held].sort(), claimed.map(({ task }) => task.id).sort());
    assertEquals([...cancelled], [id]);
    const [result] = await store.record([cancel(wanted, at(20))], at(20));
    assertEquals(result?.applied, true);
    const after = await store.get(id);
    assertEquals(after?.state, "failed");
    assertEquals(
      parseTrace(after?.traceText ?? null)?.result,
      "cancelled",
    );
  });

  test("cancel() loses to a completion that comes first", async (subject) => {
    const { store, storedTextOf } = subject;
    const { id } = await createOne(store, {});
    const [claimed] = (await claim(store)).claimed;
    assert(claimed);
    assertEquals(await store.cancel(id, at(1)), "requested");
    const [result] = await store.record([complete(claimed, at(2))], at(2));
    assertEquals(result?.applied, true);
    const before = await storedTextOf(id);
    assertEquals((await store.get(id))?.state, "completed");
    assertEquals(await store.cancel(id, at(3)), "ended");
    const late = await store.record([cancel(claimed, at(3))], at(3));
    assertEquals(late.map(({ applied }) => applied), [false]);
    assertEquals(await storedTextOf(id), before);
  });

  test("cancel() changes nothing that has ended, or is missing", async (subject) => {
    const { store, storedTextOf } = subject;
    const ids = await createMany(store, 2);
    const { claimed } = await claim(store);
    await store.record([
      complete(nth(claimed, 0), at(1)),
      fail(nth(claimed, 1), at(1), "no"),
    ], at(1));
    for (const id of ids) {
      const before = await storedTextOf(id);
      assertEquals(await store.cancel(id, at(2)), "ended");
      assertEquals(await storedTextOf(id), before);
    }
    const missing = crypto.randomUUID();
    assertEquals(await store.cancel(missing, at(2)), "missing");
    assertEquals(await store.events(missing), []);
  });

  test("claim() ends a cancelled task whose runner died", async ({ store }) => {
    const { id } = await createOne(store, {});
    const { claimed } = await claim(store, { leaseMs: 100 });
    assertEquals(await store.cancel(id, at(1)), "requested");
    const early = await claim(store, { now: at(99) });
    assertEquals(early, { claimed: [], ended: [] });
    const result = await claim(store, { now: at(2_000) });
    assertEquals([idsOf(result), endedOf(result)], [[], [id]]);
    assertEquals(result.ended[0]?.event, "cancelled");
    assertEquals((await store.get(id))?.state, "failed");
    const again = await claim(store, { now: at(9_000) });
    assertEquals(again, { claimed: [], ended: [] });
    const late = await store.record([complete(first(claimed), at(1))], at(9));
    assertEquals(late.map(({ applied }) => applied), [false]);
  });

  test("claim() ends a cancelled task that waits for its retry", async ({ store }) => {
    const { id } = await createOne(store, {});
    const [claimed] = (await claim(store)).claimed;
    assert(claimed);
    await store.cancel(id, at(1));
    const retry = retryLater(claimed, at(2), { error: "no", runAt: at(9e9) });
    await store.record([retry], at(2));
    const result = await claim(store, { now: at(2_000) });
    assertEquals([idsOf(result), endedOf(result)], [[], [id]]);
    assertEquals((await store.get(id))?.state, "failed");
  });

  test("claim() leases one task by its id, before others and before its run_at", async ({ store }) => {
    const [first = "", due = "", later = ""] = await store.create([
      newTask({ priority: 9 }),
      newTask({}),
      newTask({ runAt: at(1e9) }),
    ], at(0));
    const one = await claim(store, { taskId: later });
    assertEquals(idsOf(one), [later]);
    assertEquals(one.claimed[0]?.task.runAt, null);
    assertEquals(idsOf(await claim(store, { taskId: due })), [due]);
    assertEquals(idsOf(await claim(store, { taskId: due })), []);
    assertEquals(
      idsOf(await claim(store, { taskId: crypto.randomUUID() })),
      [],
    );
    assertEquals(idsOf(await claim(store)), [first]);
  });

  test("claim() by id takes what waits for its retry, and ends only that task", async ({ store }) => {
    const [retried = "", dead = "", other = ""] = await createMany(store, 3);
    const { claimed } = await claim(store, { leaseMs: 10, maxAttempts: 1 });
    const retry = { error: "no", runAt: at(1e9) };
    await store.record([retryLater(nth(claimed, 0), at(1), retry)], at(1));
    const options = { now: at(2_000), maxAttempts: 1 };
    const one = await claim(store, { ...options, taskId: retried });
    assertEquals([idsOf(one), endedOf(one)], [[retried], []]);
    const two = await claim(store, { ...options, taskId: dead });
    assertEquals([idsOf(two), endedOf(two)], [[], [dead]]);
    assertEquals((await store.get(other))?.state, "running");
  });

  test("claim() by id takes nothing that is held, waits for an answer or has ended", async ({ store }) => {
    const ids = await createMany(store, 4);
    const { claimed } = await claim(store, { limit: 3 });
    await store.record([
      askInput(nth(claimed, 1), at(1), "Which?"),
      complete(nth(claimed, 2), at(1)),
    ], at(1));
    await store.cancel(ids[3] ?? "", at(1));
    for (const taskId of ids) {
      const result = await claim(store, { taskId, now: at(2) });
      assertEquals(result, { claimed: [], ended: [] });
    }
  });

  test("claim() takes tasks of the given providers only", async ({ store }) => {
    const ids = await store.create(
      ["a", "b", "*", "c", "a"].map((provider) => newTask({ provider })),
      at(0),
    );
    async function take(options: Partial<ClaimOptions>): Promise<number[]> {
      return idsOf(await claim(store, options)).map((id) => ids.indexOf(id));
    }
    assertEquals(await take({ providers: [] }), []);
    assertEquals(await take({ providers: ["x", "a"], limit: 1 }), [0]);
    assertEquals(await take({ providers: ["*"] }), [2]);
    assertEquals(await take({ providers: ["b", "a"] }), [1, 4]);
    assertEquals(await take({}), [3]);
  });

  test("claim() gives the providers that are not named room together", async ({ store }) => {
    const providers = ["a", "x", "b", "y", "x", "b", "*"];
    const ids = await store.create(
      providers.map((provider) => newTask({ provider })),
      at(0),
    );
    async function take(room: [string, number][]): Promise<number[]> {
      const result = await claim(store, { providerRoom: new Map(room) });
      return idsOf(result).map((id) => ids.indexOf(id));
    }
    assertEquals(await take([["a", 0], ["b", Infinity], ["*", 2]]), [
      1,
      2,
      3,
      5,
    ]);
    assertEquals(await take([["a", 0], ["*", 0]]), []);
    assertEquals(await take([["a", 0], ["*", 1]]), [4]);
    assertEquals(await take([["*", Infinity]]), [0, 6]);
  });

  test("answer() makes a task claimable, with the answer in its trace", async ({ store }) => {
    const { id } = await createOne(store, { trace: { mine: 1 } });
    const asked = first((await claim(store, { maxAttempts: 1 })).claimed);
    await store.record([askInput(asked, at(1), "Which?")], at(1));
    assertEquals((await store.get(id))?.attempt, 0);
    assertEquals(await store.answer(id, "main 漢\n", at(5_000)), "answered");
    const task = await store.get(id);
    assertEquals(task?.state, "running");
    assertEquals([task?.leaseOwner, task?.leaseExpiresAt], [null, null]);
    assertEquals([task?.runAt, task?.updatedAt], [null, at(5_000)]);
    const trace = parseTrace(task?.traceText ?? null);
    assertEquals([trace?.mine, trace?.question], [1, null]);
    assertEquals(trace?.answers, [{
      question: "Which?",
      answer: "main 漢\n",
      answered_at: traceTime(at(5_000)),
    }]);
    const again = await claim(store, { now: at(5_000), maxAttempts: 1 });
    assertEquals(idsOf(again), [id]);
    assertEquals(first(again.claimed).lease.attempt, 1);
    assertEquals(await historyOf(store, id), [
      ["created", 0, null, null, 0],
      ["started", 1, "runner-a", null, 0],
      ["needs_input", 1, "runner-a", "Which?", 1],
      ["answered", 0, null, "main 漢\n", 5_000],
      ["started", 1, "runner-a", null, 5_000],
    ]);
    const late = await store.record([complete(asked, at(6))], at(6));
    assertEquals(late.map(({ applied }) => applied), [false]);
  });

  test("answer() keeps the answers to the questions before", async ({ store }) => {
    const { id } = await createOne(store, {});
    for (const n of [1, 2, 3]) {
      const { claimed } = await claim(store, { now: at(n * 2_000) });
      const asked = askInput(first(claimed), at(n), `Question ${n}?`);
      await store.record([asked], at(n));
      await store.answer(id, `Answer ${n}`, at(n));
    }
    const task = await store.get(id);
    const answers = answersOf(parseTrace(task?.traceText ?? null) ?? {});
    assertEquals(
      answers.map(({ question, answer }) => `${question} ${answer}`),
      [1, 2, 3].map((n) => `Question ${n}? Answer ${n}`),
    );
    assertEquals(task?.attempt, 0);
  });

  test("answer() changes nothing that has not asked", async (subject) => {
    const { store, storedTextOf } = subject;
    const ids = await createMany(store, 4);
    const { claimed } = await claim(store, { limit: 3 });
    await store.record([
      complete(nth(claimed, 1), at(1)),
      fail(nth(claimed, 2), at(1), "no"),
    ], at(1));
    const expected = ["not asked", "ended", "ended", "not asked"] as const;
    for (const [index, id] of ids.entries()) {
      const before = await storedTextOf(id);
      assertEquals(await store.answer(id, "x", at(2)), expected[index]);
      assertEquals(await storedTextOf(id), before);
    }
    const missing = crypto.randomUUID();
    assertEquals(await store.answer(missing, "x", at(2)), "missing");
    assertEquals(await store.events(missing), []);
  });

  test("answer() counts once where two answer", async ({ store }) => {
    const { id } = await createOne(store, {});
    const { claimed } = await claim(store);
    await store.record([askInput(first(claimed), at(1), "Which?")], at(1));
    const results = await Promise.all(
      ["one", "two"].map((text) => store.answer(id, text, at(2))),
    );
    assertEquals(results, ["answered", "not asked"]);
    const trace = parseTrace((await store.get(id))?.traceText ?? null);
    assertEquals(answersOf(trace ?? {}).map(({ answer }) => answer), ["one"]);
  });

  test("answer() keeps a trace that can't be read", async ({ store, changeTask }) => {
    const { id } = await createOne(store, {});
    await changeTask(id, { state: "needs_input", traceText: "[1, 2]" });
    assertEquals(await store.answer(id, "x", at(1)), "answered");
    const trace = parseTrace((await store.get(id))?.traceText ?? null);
    assertEquals(trace?.[UNREADABLE_KEY], "[1, 2]");
    assertEquals(answersOf(trace ?? {})[0]?.answer, "x");
    assertEquals(idsOf(await claim(store)), [id]);
  });

  test("claim() fails a task that nobody answered in time, at that moment", async ({ store }) => {
    const [id = "", other = ""] = await createMany(store, 2);
    const { claimed } = await claim(store);
    const asked = { answerWithinMs: 60_000 };
    await store.record([
      askInput(nth(claimed, 0), at(1_000), "Which?", asked),
      askInput(nth(claimed, 1), at(1_000), "And here?"),
    ], at(1_000));
    assertEquals((await store.get(id))?.runAt, at(61_000));
    assertEquals(await store.nextDueAt(at(1_000)), at(61_000));
    const early = await claim(store, { now: at(60_999) });
    assertEquals(early, { claimed: [], ended: [] });
    const result = await claim(store, { now: at(61_000) });
    assertEquals([idsOf(result), endedOf(result)], [[], [id]]);
    const task = await store.get(id);
    assertEquals([task?.state, task?.runAt], ["failed", null]);
    const trace = parseTrace(task?.traceText ?? null);
    assertEquals(trace?.error, "Nobody answered within 1m: Which?");
    const last = (await store.events(id)).at(-1);
    assertEquals([last?.kind, last?.detail], ["failed", trace?.error]);
    assertEquals(await store.answer(id, "late", at(61_001)), "ended");
    assertEquals((await store.get(other))?.state, "needs_input");
    assertEquals(await store.nextDueAt(at(0)), null);
  });

  test("answer() that comes in time leaves nothing to fail", async ({ store }) => {
    const { id } = await createOne(store, {});
    const { claimed } = await claim(store);
    const asked = { answerWithinMs: 60_000 };
    await store.record([askInput(first(claimed), at(0), "Q?", asked)], at(0));
    assertEquals(await store.answer(id, "A", at(59_999)), "answered");
    assertEquals(await store.nextDueAt(at(0)), null);
    const result = await claim(store, { now: at(99_000) });
    assertEquals([idsOf(result), endedOf(result)], [[id], []]);
  });

  test("claim() takes at once what another program set running, though its question had a time", async (subject) => {
    const { store, changeTask } = subject;
    const [id = "", retried = ""] = await createMany(store, 2);
    const { claimed } = await claim(store);
    const asked = { answerWithinMs: 1e9 };
    await store.record([
      askInput(nth(claimed, 0), at(0), "Which?", asked),
      askInput(nth(claimed, 1), at(0), "Which?", asked),
    ], at(0));
    // One that was answered here, and then waits for its retry.
    await store.answer(retried, "main", at(1));
    const again = await claim(store, { now: at(2_000) });
    const retry = { error: "no", runAt: at(1e8) };
    await store.record(
      [retryLater(first(again.claimed), at(2_001), retry)],
      at(2_001),
    );
    await changeTask(id, { state: "running" });
    const result = await claim(store, { now: at(4_000) });
    assertEquals([idsOf(result), endedOf(result)], [[id], []]);
    assertEquals(first(result.claimed).task.runAt, null);
    const kinds = (await store.events(id)).map(({ kind }) => kind);
    assertEquals(kinds.slice(-2), ["answered", "started"]);
    assertEquals((await store.get(retried))?.runAt, at(1e8));
  });

  test("cancel() fails a task that waits for an answer", async ({ store }) => {
    const { id } = await createOne(store, {});
    const { claimed } = await claim(store);
    const asked = { answerWithinMs: 60_000 };
    await store.record([askInput(first(claimed), at(0), "Q?", asked)], at(0));
    assertEquals(await store.cancel(id, at(1)), "cancelled");
    assertEquals(await store.answer(id, "A", at(2)), "ended");
    assertEquals(await store.nextDueAt(at(0)), null);
    const result = await claim(store, { now: at(99_000) });
    assertEquals(result, { claimed: [], ended: [] });
  });

  test("claim() ends a task that asked after it was cancelled", async ({ store }) => {
    const { id } = await createOne(store, {});
    const { claimed } = await claim(store);
    assertEquals(await store.cancel(id, at(1)), "requested");
    const asked = { answerWithinMs: 10 };
    await store.record([askInput(first(claimed), at(2), "Q?", asked)], at(2));
    const result = await claim(store, { now: at(2_000) });
    assertEquals([idsOf(result), endedOf(result)], [[], [id]]);
    assertEquals(result.ended[0]?.event, "cancelled");
    assertEquals((await store.get(id))?.state, "failed");
  });

  test("a state that nobody here knows is left alone", async (subject) => {
    const { store, changeTask, storedTextOf } = subject;
    const { id } = await createOne(store, {});
    await changeTask(id, { state: "paused" });
    const before = await storedTextOf(id);
    assertEquals(await store.cancel(id, at(1)), "unknown state");
    assertEquals(await store.answer(id, "x", at(1)), "not asked");
    assertEquals(idsOf(await claim(store)), []);
    assertEquals(idsOf(await claim(store, { taskId: id })), []);
    assertEquals(await store.nextDueAt(at(0)), null);
    const { others } = await preview(store);
    assertEquals(others.map((task) => task.state as string), ["paused"]);
    assertEquals(await storedTextOf(id), before);
  });

  test("preview() shows what claim() takes, in its order, and changes nothing", async (subject) => {
    const { store, storedTextOf } = subject;
    const ids = await store.create([
      newTask({}),
      newTask({ priority: 5 }),
      newTask({ runAt: at(60_000) }),
      newTask({ provider: "other" }),
      ...Array.from({ length: 5 }, () => newTask({ priority: 9 })),
    ], at(0));
    const { claimed } = await claim(store, { limit: 5, leaseMs: 5_000 });
    await store.record([
      release(nth(claimed, 0), "shutdown"),
      askInput(nth(claimed, 1), at(1), "Which?"),
      complete(nth(claimed, 2), at(1)),
    ], at(1));
    const before = await Promise.all(ids.map(storedTextOf));
    const now = at(5_000);
    const options = { now, providers: ["simulate"], maxAttempts: 1 };
    const plan = await preview(store, options);
    assertEquals(await preview(store, options), plan);
    assertEquals(await Promise.all(ids.map(storedTextOf)), before);
    assertEquals(plan.claimableCount, plan.claimable.length);
    assertEquals(plan.othersCount, plan.others.length);
    const indexOf = ({ id }: AgentTask) => ids.indexOf(id);
    assertEquals(plan.claimable.map(indexOf), [4, 1, 0]);
    // Asked, died, not due yet, of another provider.
    assertEquals(plan.others.map(indexOf), [5, 7, 8, 2, 3]);
    const result = await claim(store, options);
    assertEquals(idsOf(result), plan.claimable.map(({ id }) => id));
  });

  test("preview() shows no more than its limit, and counts them all", async ({ store }) => {
    assertEquals(await preview(store), {
      claimable: [],
      claimableCount: 0,
      others: [],
      othersCount: 0,
    });
    const ids = await createMany(store, 5);
    await createMany(store, 4, { task: { runAt: at(1e9) } });
    const plan = await preview(store, { limit: 2 });
    assertEquals(plan.claimable.map(({ id }) => id), ids.slice(0, 2));
    assertEquals([plan.claimableCount, plan.others.length, plan.othersCount], [
      5,
      2,
      4,
    ]);
  });

  test("pruneEvents() deletes what ended before, whole histories only", async ({ store }) => {
    const [old = "", recent = "", open = ""] = await createMany(store, 3);
    const { claimed } = await claim(store);
    await store.record([complete(nth(claimed, 0), at(1_000))], at(1_000));
    await store.record([complete(nth(claimed, 1), at(5_000))], at(5_000));
    await store.record([release(nth(claimed, 2), "shutdown")], at(1_000));
    assertEquals(await store.pruneEvents(at(2_000)), 3);
    const histories = await Promise.all(
      [old, recent, open].map((id) => historyOf(store, id)),
    );
    assertEquals(
      histories.map((events) => events.map(([kind]) => kind)),
      [[], ["created", "started", "completed"], [
        "created",
        "started",
        "released",
      ]],
    );
    assertEquals(await store.countByState(), { running: 1, completed: 2 });
    assertEquals(await store.pruneEvents(at(2_000)), 0);
  });

  test("nextDueAt() is null where nothing will be due", async ({ store }) => {
    assertEquals(await store.nextDueAt(at(0)), null);
    const ids = await createMany(store, 2);
    assertEquals(await store.nextDueAt(at(0)), null);
    const { claimed } = await claim(store);
    assertEquals(claimed.length, ids.length);
    await store.record([
      complete(nth(claimed, 0), at(1)),
      askInput(nth(claimed, 1), at(1), "Which?"),
    ], at(1));
    assertEquals(await store.nextDueAt(at(0)), null);
  });

  test("nextDueAt() is the first run_at that is to come", async ({ store }) => {
    await store.create([
      newTask({ runAt: at(3_000) }),
      newTask({ runAt: at(2_000) }),
      newTask({ runAt: at(9_000) }),
    ], at(0));
    assertEquals(await store.nextDueAt(at(0)), at(2_000));
    assertEquals(await store.nextDueAt(at(2_000)), at(3_000));
    assertEquals(await store.nextDueAt(at(3_001)), at(9_000));
    assertEquals(await store.nextDueAt(at(9_000)), null);
  });

  test("nextDueAt() is the end of the first lease or backoff", async ({ store }) => {
    await createMany(store, 3);
    const { claimed } = await claim(store, { leaseMs: 5_000 });
    await store.heartbeat([nth(claimed, 2).lease], at(7_000));
    await store.heartbeat(leasesOf(claimed.slice(0, 2)), at(5_000));
    assertEquals(await store.nextDueAt(at(0)), at(5_000));
    const retry = { error: "no", runAt: at(1_000) };
    await store.record([retryLater(first(claimed), at(1), retry)], at(1));
    assertEquals(await store.nextDueAt(at(1)), at(1_000));
    assertEquals(await store.nextDueAt(at(1_000)), at(5_000));
  });

  test("nextDueAt() is when claim() finds something", async ({ store }) => {
    await createOne(store, { runAt: at(1_234) });
    const due = await store.nextDueAt(at(0));
    assert(due);
    const before = new Date(due.getTime() - 1);
    assertEquals(idsOf(await claim(store, { now: before })), []);
    assertEquals(idsOf(await claim(store, { now: due })).length, 1);
  });

  test("events() knows nothing of an unknown task", async ({ store }) => {
    await createOne(store, {});
    assertEquals(await store.events(crypto.randomUUID()), []);
  });

  test("changeCount() stays where nobody else wrote", async ({ store }) => {
    assertEquals(await store.changeCount(), 0);
    await createMany(store, 1);
    await claim(store);
    assertEquals(await store.changeCount(), 0);
  });
}

const USER = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";
const START = Date.UTC(2026, 0, 1);

/** Milliseconds after the start of the tests' time. */
function at(ms: number): Date {
  return new Date(START + ms);
}

function newTask(fields: Partial<NewTask>): NewTask {
  return { userId: USER, provider: "simulate", ...fields };
}

async function createOne(
  store: TaskStore,
  fields: Partial<NewTask>,
): Promise<AgentTask> {
  const [id = ""] = await store.create([newTask(fields)], at(0));
  const task = await store.get(id);
  assert(task, "the task that was just created is not there");
  return task;
}

function createMany(
  store: TaskStore,
  count: number,
  { now = at(0), task = {} }: { now?: Date; task?: Partial<NewTask> } = {},
): Promise<string[]> {
  return store.create(Array.from({ length: count }, () => newTask(task)), now);
}

function claim(
  store: TaskStore,
  options: Partial<ClaimOptions> = {},
): Promise<ClaimResult> {
  return store.claim({
    limit: 100,
    owner: "runner-a",
    leaseMs: 60_000,
    maxAttempts: 3,
    now: at(0),
    ...options,
  });
}

function preview(
  store: TaskStore,
  options: Partial<PreviewOptions> = {},
): Promise<Preview> {
  return store.preview({ limit: 100, now: at(0), maxAttempts: 3, ...options });
}

function idsOf({ claimed }: ClaimResult): string[] {
  return claimed.map(({ task }) => task.id);
}

function endedOf({ ended }: ClaimResult): string[] {
  return ended.map(({ lease }) => lease.taskId);
}

function leasesOf(claimed: readonly ClaimedTask[]) {
  return claimed.map(({ lease }) => lease);
}

function nth(claimed: readonly ClaimedTask[], index: number): ClaimedTask {
  const item = claimed[index];
  assert(item, `only ${claimed.length} were claimed`);
  return item;
}

function first(claimed: readonly ClaimedTask[]): ClaimedTask {
  return nth(claimed, 0);
}

function traceOf(claimed: ClaimedTask | undefined): string | null {
  return claimed?.task.traceText ?? null;
}

/** Kind, attempt, runner, detail and time of each event. */
async function historyOf(
  store: TaskStore,
  id: string,
): Promise<[string, number, string | null, string | null, number][]> {
  return (await store.events(id)).map((event) => [
    event.kind,
    event.attempt,
    event.runner,
    event.detail,
    event.occurredAt.getTime() - START,
  ]);
}
