/**
 * Claiming: what is begun, in which order, and what is written of it.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
} from "@std/assert";
import {
  type Claim,
  type ClaimOptions,
  OTHERS,
} from "../../../lib/store/contract.ts";
import {
  askInput,
  complete,
  fail,
  release,
  retryLater,
  traceTime,
} from "../../../lib/task/transitions.ts";
import {
  assertNow,
  claim,
  claimOne,
  create,
  createMany,
  createOne,
  historyOf,
  HOUR,
  idsOf,
  LARGE,
  later,
  LEASE_MS,
  MINUTE,
  nth,
  record,
  startOne,
  statesOf,
  taskOf,
  type Test,
  traceOf,
} from "./subject.ts";

export function testClaim(test: Test): void {
  testOrder(test);
  testClaimable(test);
  testChoice(test);
  testWritten(test);
}

function testOrder(test: Test): void {
  test("claim() begins the oldest first, those of one create() in their order", async (subject) => {
    const { store, elapse } = subject;
    const old = await createMany(store, 2);
    await elapse(MINUTE);
    const young = await createMany(store, 2);
    const ids = idsOf(await claim(store, { limit: 3 }));
    assertEquals(ids, [...old, ...young.slice(0, 1)]);
  });

  test("claim() begins a higher priority first", async ({ store, elapse }) => {
    const ids = await create(
      store,
      [0, 5, -1, 5, 0].map((priority) => ({ priority })),
    );
    await elapse(MINUTE);
    const late = await createOne(store, { priority: 9 });
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

  test("claim() begins what can be read at once, and says that there is more", async ({ store }) => {
    const ids = await createMany(store, 4, LARGE);
    const begun: string[] = [];
    for (let hasMore = true; hasMore;) {
      const claimed = await claim(store, { limit: 4, ahead: 9 });
      begun.push(...idsOf(claimed));
      assertEquals(claimed.hasMore, begun.length < 4);
      ({ hasMore } = claimed);
    }
    assertEquals(begun, ids);
  });

  test("claim() begins no more than its limit", async ({ store }) => {
    await createMany(store, 3);
    const counts: number[] = [];
    for (const limit of [0, 1, 5, 5]) {
      counts.push((await claim(store, { limit })).tasks.length);
    }
    assertEquals(counts, [0, 1, 2, 0]);
  });

  test("claim() finds nothing in an empty store, and says when", async (subject) => {
    await assertNow(subject, async () => {
      const { tasks, waitsForIdle, at } = await claim(subject.store);
      assertEquals([tasks, waitsForIdle], [[], false]);
      return [at];
    });
  });

  test("claim() begins nothing twice over many claims", async ({ store, elapse }) => {
    const ids = await createMany(store, 500);
    const seen: string[] = [];
    while (seen.length < 500) {
      const claimed = idsOf(await claim(store, { limit: 7, leaseMs: HOUR }));
      assertNotEquals(claimed, []);
      seen.push(...claimed);
      // Whatever a store remembers of earlier claims is used in some and too
      // old in others.
      await elapse(170);
    }
    assertEquals(seen, ids);
    assertEquals(idsOf(await claim(store)), []);
  });

  test("claim() begins nothing twice while tasks come and go", async ({ store, elapse }) => {
    const created = await createMany(store, 20);
    const seen: string[] = [];
    for (let round = 0; round < 40; round++) {
      const { tasks } = await claim(store, { limit: 3 });
      seen.push(...tasks.map(({ task }) => task.id));
      await record(store, ...tasks.map((it) => complete(it)));
      if (round < 20) created.push(await createOne(store));
      await elapse(90);
    }
    assertEquals(seen, created);
    assertEquals(await statesOf(store), { completed: created.length });
  });

  test("claim() begins nothing twice when called all at once", async ({ store }) => {
    const ids = await createMany(store, 40);
    const claims = await Promise.all(
      Array.from({ length: 10 }, () => claim(store, { limit: 5 })),
    );
    assertEquals(claims.flatMap(idsOf).sort(), ids.sort());
  });
}

function testClaimable(test: Test): void {
  test("claim() leaves a task until its run_at has come", async (subject) => {
    const { store, elapse, now } = subject;
    const runAt = later(await now(), HOUR);
    const id = await createOne(store, { runAt });
    assertEquals(idsOf(await claim(store)), []);
    await elapse(HOUR - MINUTE);
    assertEquals(idsOf(await claim(store)), []);
    await elapse(MINUTE);
    const { task } = await claimOne(store);
    assertEquals([task.id, task.runAt], [id, null]);
  });

  test("claim() takes a running task that has no lease", async ({ store, changeTask }) => {
    const id = await createOne(store);
    await changeTask(id, { state: "running" });
    const { lease } = await claimOne(store);
    assertEquals([lease.taskId, lease.attempt], [id, 1]);
    assertEquals(idsOf(await claim(store)), []);
  });

  test("claim() leaves needs_input, completed and failed alone", async (subject) => {
    const { store, elapse, storedTextOf } = subject;
    const ids = await createMany(store, 3);
    const { tasks } = await claim(store);
    await record(
      store,
      askInput(nth(tasks, 0), "Which?"),
      complete(nth(tasks, 1)),
      fail(nth(tasks, 2), "no"),
    );
    await elapse(1_000 * HOUR);
    const before = await Promise.all(ids.map(storedTextOf));
    assertEquals(idsOf(await claim(store, { maxAttempts: 1 })), []);
    assertEquals(await Promise.all(ids.map(storedTextOf)), before);
  });

  test("claim() gives a released task its attempt again, however often", async ({ store }) => {
    const id = await createOne(store);
    for (let n = 0; n < 4; n++) {
      const run = await claimOne(store, { maxAttempts: 1 });
      assertEquals(run.lease.attempt, 1);
      await record(store, release(run, "The runner was stopped"));
      assertEquals((await taskOf(store, id)).attempt, 0);
    }
  });

  test("claim() of a signal that is aborted begins nothing", async ({ store }) => {
    const id = await createOne(store);
    const signal = AbortSignal.abort();
    const [outcome] = await Promise.allSettled([claim(store, { signal })]);
    // Whether it is said as an error, the store chooses.
    if (outcome?.status === "fulfilled") assertEquals(idsOf(outcome.value), []);
    const { task } = await claimOne(store);
    assertEquals([task.id, task.attempt], [id, 1]);
  });

  test("claim() leaves out a row that can't be written, says so, and takes the others", async (subject) => {
    const { store, refuseWrites, storedTextOf, problems } = subject;
    const ids = await createMany(store, 5);
    const bad = nth(ids, 2);
    await refuseWrites(bad);
    const before = await storedTextOf(bad);
    assertEquals(
      idsOf(await claim(store, { limit: 5 })),
      ids.filter((id) => id !== bad),
    );
    assertEquals(await storedTextOf(bad), before);
    assertMatch(problems.join("\n"), new RegExp(bad));
    assertEquals(idsOf(await claim(store)), []);
  });
}

function testChoice(test: Test): void {
  test("claim() takes one task by its id, before others and before its run_at", async ({ store, now }) => {
    const runAt = later(await now(), 1_000 * HOUR);
    const ids = await create(store, [{ priority: 9 }, {}, { runAt }]);
    const [first, due, waiting] = ids;
    const run = await claimOne(store, { taskId: waiting });
    assertEquals([run.task.id, run.task.runAt], [waiting, null]);
    assertEquals(idsOf(await claim(store, { taskId: due })), [due]);
    assertEquals(idsOf(await claim(store, { taskId: due })), []);
    const taskId = crypto.randomUUID();
    assertEquals(idsOf(await claim(store, { taskId })), []);
    assertEquals(idsOf(await claim(store)), [first]);
  });

  test("claim() by id takes what waits for its retry", async ({ store }) => {
    const run = await startOne(store);
    const retry = { error: "no", delayMs: 1_000 * HOUR };
    await record(store, retryLater(run, retry));
    const again = await claimOne(store, { taskId: run.task.id });
    assertEquals(again.lease.attempt, 2);
  });

  test("claim() by id takes nothing that is held, waits for an answer or has ended", async ({ store }) => {
    const ids = await createMany(store, 4);
    const { tasks } = await claim(store, { limit: 3 });
    await record(store, askInput(nth(tasks, 1), "Q?"), complete(nth(tasks, 2)));
    await store.admin.cancel(ids.slice(3));
    for (const taskId of ids) {
      assertEquals(idsOf(await claim(store, { taskId })), []);
    }
  });

  test("claim() takes tasks of the given providers only", async ({ store }) => {
    const ids = await create(
      store,
      ["a", "b", "*", "c", "a"].map((provider) => ({ provider })),
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

  test("claim() takes no more of a provider than it has room for", async ({ store }) => {
    const providers = ["a", "a", "b", "c", "a", "b", "c", "a"];
    const ids = await create(
      store,
      providers.map((provider) => ({ provider })),
    );
    async function take(
      room: Record<string, number> | undefined,
      limit = 100,
    ): Promise<number[]> {
      const providerRoom = room && new Map(Object.entries(room));
      const claimed = await claim(store, { limit, providerRoom });
      return idsOf(claimed).map((id) => ids.indexOf(id));
    }
    assertEquals(await take({ a: 1, b: 0 }, 2), [0, 3]);
    assertEquals(await take({ a: 1, b: 0, c: 0 }), [1]);
    assertEquals(await take({ a: 0, b: 0, c: 0, unknown: 5 }), []);
    assertEquals(await take({ a: 1 }), [2, 4, 5, 6]);
    assertEquals(await take(undefined), [7]);
  });

  test("claim() gives the providers that are not named room together", async ({ store }) => {
    const providers = ["a", "x", "b", "y", "x", "b", "*"];
    const ids = await create(
      store,
      providers.map((provider) => ({ provider })),
    );
    async function take(room: [string, number][]): Promise<number[]> {
      const claimed = await claim(store, { providerRoom: new Map(room) });
      return idsOf(claimed).map((id) => ids.indexOf(id));
    }
    const two = await take([["a", 0], ["b", Infinity], [OTHERS, 2]]);
    assertEquals(two, [1, 2, 3, 5]);
    assertEquals(await take([["a", 0], [OTHERS, 0]]), []);
    assertEquals(await take([["a", 0], [OTHERS, 1]]), [4]);
    assertEquals(await take([[OTHERS, Infinity]]), [0, 6]);
  });

  test("claim() gives no more than the room that others leave", async ({ store, elapse }) => {
    const providers = ["a", "a", "a", "a", "x", "b", "y"];
    const ids = await create(
      store,
      providers.map((provider) => ({ provider })),
    );
    async function take(
      limits: [string, number][],
      options: Partial<ClaimOptions> = {},
    ): Promise<Claim> {
      const globalLimits = new Map(limits);
      return await claim(store, { globalLimits, ...options });
    }
    const places = (it: Claim) => idsOf(it).map((id) => ids.indexOf(id));
    const limits: [string, number][] = [["a", 2], ["b", Infinity], [OTHERS, 1]];
    const first = await take(limits, { owner: "one" });
    assertEquals(places(first), [0, 1, 4, 5]);
    assertEquals(places(await take(limits, { owner: "two" })), []);
    await record(store, complete(nth(first.tasks, 0)));
    const providerRoom = new Map([["a", 0]]);
    assertEquals(places(await take(limits, { providerRoom })), []);
    assertEquals(places(await take(limits, { owner: "two" })), [2]);
    assertEquals(places(await take(limits, { owner: "one" })), []);
    await elapse(LEASE_MS + 1);
    // Of two dead runners.
    assertEquals(places(await take(limits)), [1, 2, 4, 5]);
  });

  test("claim() counts what the runner alone limits among all others", async ({ store }) => {
    await create(
      store,
      Array.from({ length: 12 }, (_, n) => ({ provider: n % 2 ? "a" : "x" })),
    );
    const globalLimits = new Map([[OTHERS, 3]]);
    const one = await claim(store, { limit: 2, globalLimits });
    assertEquals(one.tasks.length, 2);
    const two = await claim(store, {
      limit: 2,
      ahead: 5,
      globalLimits,
      providerRoom: new Map([["a", 5]]),
    });
    assertEquals(two.tasks.length, 1);
  });

  test("claims at one moment keep together to the limit of a provider", async ({ store }) => {
    await createMany(store, 40);
    const globalLimits = new Map([["simulate", 3]]);
    for (const expected of [3, 0]) {
      const claims = await Promise.all(
        Array.from({ length: 10 }, (_, index) =>
          claim(store, {
            owner: `r${index}`,
            limit: 2,
            ahead: 5,
            globalLimits,
          })),
      );
      assertEquals(claims.flatMap(({ tasks }) => tasks).length, expected);
    }
  });
}

function testWritten(test: Test): void {
  test("claim() says what is stored", async ({ store, elapse }) => {
    await create(store, [
      { instruction: "a", trace: { k: 1 }, priority: 3, maxAttempts: 7 },
      { targetType: "pr", targetRef: "o/r#5", timeoutMs: 1_500 },
    ]);
    await elapse(MINUTE);
    const { tasks, at } = await claim(store, { leaseMs: HOUR });
    assertEquals(tasks.length, 2);
    for (const { task, lease } of tasks) {
      assertEquals(task, await taskOf(store, task.id));
      assertEquals([task.state, task.attempt], ["running", 1]);
      assertEquals([task.leaseOwner, task.questions], ["runner-a", 0]);
      assertEquals(task.leaseExpiresAt, later(at, HOUR));
      assertEquals(task.updatedAt, at);
      assert(task.createdAt <= later(at, -MINUTE));
      const { id, ...rest } = lease;
      assert(id.length > 0);
      assertEquals(rest, { taskId: task.id, owner: "runner-a", attempt: 1 });
    }
  });

  test("claim() makes a lease of its own every time", async ({ store, elapse }) => {
    await createMany(store, 2);
    const leases = new Set<string>();
    for (let n = 1; n <= 4; n++) {
      const { tasks } = await claim(store, { maxAttempts: 9 });
      assertEquals(tasks.map(({ lease }) => lease.attempt), [n, n]);
      for (const { task, lease } of tasks) leases.add(`${task.id} ${lease.id}`);
      await elapse(LEASE_MS);
    }
    assertEquals(leases.size, 8);
    const ids = new Set([...leases].map((key) => key.split(" ")[1]));
    assert(ids.size >= 4, "a lease id came twice");
  });

  test("claim() writes HandsFree's keys into the trace", async ({ store }) => {
    const trace = { first: 1, progress: "queued", last: 2 };
    const ids = await create(store, [{ trace }, {}]);
    const { at } = await claim(store);
    const written = {
      auto_started_at: traceTime(at),
      auto_started_by: "runner_loop",
      progress: "Task started",
    };
    const traces = await Promise.all(ids.map((id) => traceOf(store, id)));
    assertEquals(traces, [{ ...trace, ...written }, written]);
    assertEquals(Object.keys(nth(traces, 0))[0], "first");
  });

  test("claim() keeps the first start's time at a later attempt", async ({ store, elapse }) => {
    const first = await startOne(store);
    await elapse(LEASE_MS);
    const again = await claimOne(store);
    assertEquals(again.lease.attempt, 2);
    assertEquals(again.task.traceText, first.task.traceText);
  });

  test("claim() is written into the history", async ({ store, elapse }) => {
    const id = await createOne(store);
    await claim(store, { owner: "runner-a" });
    await elapse(LEASE_MS);
    const { at } = await claim(store, { owner: "runner-b" });
    assertEquals(await historyOf(store, id), [
      ["created", 0, null, null],
      ["started", 1, "runner-a", null],
      ["started", 2, "runner-b", null],
    ]);
    const { occurredAt } = nth(await store.admin.history(id), 2);
    assertEquals(occurredAt, at);
  });
}
