/**
 * Looking ahead: when there is something to claim, and what a claim would take.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import {
  type DueOptions,
  OTHERS,
  type Preview,
  type PreviewOptions,
  type Store,
} from "../../../lib/store/contract.ts";
import {
  askInput,
  complete,
  release,
  retryLater,
} from "../../../lib/task/transitions.ts";
import {
  claim,
  claimOne,
  create,
  createMany,
  createOne,
  endAbandoned,
  HOUR,
  idsOf,
  later,
  LEASE_MS,
  leasesOf,
  MINUTE,
  minutes,
  nth,
  record,
  startOne,
  type Test,
} from "./subject.ts";

export function testDue(test: Test): void {
  testUntilDue(test);
  testPreview(test);
}

/** In how many minutes more becomes claimable, after a claim now. */
async function dueIn(store: Store): Promise<number | null> {
  const { at } = await claim(store, { limit: 0 });
  return minutes(await store.queue.untilDue(at));
}

function testUntilDue(test: Test): void {
  test("untilDue() is null where nothing will be due", async ({ store }) => {
    assertEquals(await dueIn(store), null);
    await createMany(store, 2);
    assertEquals(await dueIn(store), null);
    const { tasks } = await claim(store);
    await record(store, complete(nth(tasks, 0)), askInput(nth(tasks, 1), "Q?"));
    assertEquals(await dueIn(store), null);
  });

  test("untilDue() is until the first run_at that is to come", async (subject) => {
    const { store, elapse, now } = subject;
    const start = await now();
    await create(
      store,
      [3, 2, 9].map((hours) => ({ runAt: later(start, hours * HOUR) })),
    );
    assertEquals(await dueIn(store), 120);
    await elapse(2 * HOUR);
    assertEquals(await dueIn(store), 60);
    await elapse(2 * HOUR);
    assertEquals(await dueIn(store), 300);
    await elapse(5 * HOUR);
    assertEquals(await dueIn(store), null);
  });

  test("untilDue() is nothing where something became due since", async (subject) => {
    const { store, elapse, now } = subject;
    const id = await createOne(store, { runAt: later(await now(), HOUR) });
    assertEquals(idsOf(await claim(store)), []);
    await elapse(HOUR + MINUTE);
    const since = later(await now(), -HOUR / 2);
    assertEquals(await store.queue.untilDue(since), 0);
    assertEquals(idsOf(await claim(store)), [id]);
  });

  test("untilDue() is until the first lease ends, or backoff", async ({ store, elapse }) => {
    await createMany(store, 3);
    const { tasks } = await claim(store, { leaseMs: 5 * HOUR });
    assertEquals(await dueIn(store), 300);
    await store.queue.heartbeat([nth(tasks, 2).lease], { leaseMs: 7 * HOUR });
    assertEquals(await dueIn(store), 300);
    await record(
      store,
      retryLater(nth(tasks, 0), { error: "no", delayMs: HOUR }),
      complete(nth(tasks, 1)),
    );
    assertEquals(await dueIn(store), 60);
    await elapse(HOUR);
    assertEquals(await dueIn(store), 360);
  });

  test("untilDue() of retries is until the next attempt of one of the providers", async ({ store, elapse }) => {
    await createMany(store, 3);
    const { at, tasks } = await claim(store, { leaseMs: HOUR });
    const { task: { provider } } = nth(tasks, 0);
    const isRetry = true;
    assertEquals(await store.queue.untilDue(at, { isRetry }), null);
    const delayMs = 10 * MINUTE;
    await record(store, retryLater(nth(tasks, 0), { error: "E", delayMs }));
    const due = (options: DueOptions) =>
      store.queue.untilDue(at, options).then(minutes);
    assertEquals(await due({ isRetry }), 10);
    assertEquals(await due({ isRetry, providers: [provider, "others"] }), 10);
    assertEquals(await due({ isRetry, providers: ["others"] }), null);
    await elapse(11 * MINUTE);
    assertEquals(await due({ isRetry }), 0);
  });

  test("untilDue() counts what is only held", async ({ store }) => {
    await createMany(store, 2);
    const { tasks } = await claim(store, {
      limit: 1,
      ahead: 1,
      leaseMs: 2 * HOUR,
    });
    await record(store, complete(nth(tasks, 0)));
    assertEquals(await dueIn(store), 120);
    await store.queue.giveBack(leasesOf(tasks));
    assertEquals(await dueIn(store), null);
  });

  test("untilDue() is until a question's time is over, which endAbandoned() ends", async ({ store, elapse }) => {
    const run = await startOne(store);
    await record(store, askInput(run, "Q?", { answerWithinMs: HOUR }));
    assertEquals(await dueIn(store), 60);
    await elapse(HOUR);
    assertEquals((await endAbandoned(store)).length, 1);
    assertEquals(await dueIn(store), null);
  });

  test("untilDue() counts no question that was answered or cancelled", async ({ store }) => {
    const ids = await createMany(store, 2);
    const { tasks } = await claim(store);
    const asked = { answerWithinMs: HOUR };
    await record(store, ...tasks.map((it) => askInput(it, "Q?", asked)));
    assertEquals(await dueIn(store), 60);
    await store.admin.answer([nth(ids, 0)], "A");
    await store.admin.cancel([nth(ids, 1)]);
    assertEquals(await dueIn(store), null);
  });

  test("untilDue() is when claim() finds something", async ({ store, elapse, now }) => {
    const id = await createOne(store, { runAt: later(await now(), HOUR) });
    const { at } = await claim(store);
    const ms = await store.queue.untilDue(at);
    assert(ms !== null && ms > 0);
    await elapse(ms);
    assertEquals(idsOf(await claim(store)), [id]);
  });
}

function preview(
  { queue }: Store,
  options: Partial<PreviewOptions> = {},
): Promise<Preview> {
  return queue.preview({ limit: 100, maxAttempts: 3, ...options });
}

function testPreview(test: Test): void {
  test("preview() shows what claim() takes, in its order, and changes nothing", async (subject) => {
    const { store, elapse, now, storedTextOf } = subject;
    const runAt = later(await now(), 1_000 * HOUR);
    const ids = await create(store, [
      {},
      { priority: 5 },
      { runAt },
      { provider: "other" },
      ...Array(5).fill({ priority: 9 }),
    ]);
    const { tasks } = await claim(store, { limit: 5 });
    await record(
      store,
      release(nth(tasks, 0), "stopped"),
      askInput(nth(tasks, 1), "Which?"),
      complete(nth(tasks, 2)),
    );
    await elapse(LEASE_MS);
    const before = await Promise.all(ids.map(storedTextOf));
    const options = { providers: ["simulate"], maxAttempts: 1 };
    const plan = await preview(store, options);
    assertEquals(await preview(store, options), plan);
    assertEquals(await Promise.all(ids.map(storedTextOf)), before);
    const placesOf = (shown: Preview["claimable"]) =>
      shown.map(({ id }) => ids.indexOf(id));
    assertEquals(placesOf(plan.claimable), [4, 1, 0]);
    assertEquals(plan.claimableCount, 3);
    // Not due yet, of another provider, asked, and two whose runner died.
    assertEquals(placesOf(plan.others).sort(), [2, 3, 5, 7, 8]);
    assertEquals(plan.othersCount, 5);
    const claimed = await claim(store, { ...options, isIdle: true });
    assertEquals(idsOf(claimed), plan.claimable.map(({ id }) => id));
  });

  test("preview() shows no more than its limit, and counts them all", async ({ store, now }) => {
    assertEquals(await preview(store), {
      claimable: [],
      claimableCount: 0,
      others: [],
      othersCount: 0,
      blockedBy: new Map(),
      globalRoom: new Map(),
      heldBy: new Map(),
      held: [],
      pauses: [],
    });
    const ids = await createMany(store, 5);
    await createMany(store, 4, { runAt: later(await now(), HOUR) });
    const plan = await preview(store, { limit: 2 });
    assertEquals(plan.claimable.map(({ id }) => id), ids.slice(0, 2));
    assertEquals(plan.others.length, 2);
    assertEquals([plan.claimableCount, plan.othersCount], [5, 4]);
  });

  test("preview() shows what is held, or begun, among the others", async ({ store, elapse }) => {
    const ids = await createMany(store, 3);
    await claim(store, { limit: 1, ahead: 1 });
    const plan = await preview(store);
    assertEquals(plan.claimable.map(({ id }) => id), ids.slice(2));
    assertEquals(plan.othersCount, 2);
    await elapse(LEASE_MS);
    assertEquals((await preview(store)).claimable.map(({ id }) => id), ids);
  });

  test("preview() shows what globalLimits leave no room for among the others", async ({ store, elapse }) => {
    const [, , full = "", ...rest] = await create(store, [
      { provider: "a" },
      { provider: "a" },
      { provider: "a" },
      { provider: "b" },
      { provider: "c" },
    ]);
    await claim(store, { limit: 2, providers: ["a"] });
    const shownWith = async (
      limits: readonly (readonly [string, number])[],
      options: Partial<PreviewOptions> = {},
    ) => {
      const globalLimits = new Map(limits);
      const plan = await preview(store, { globalLimits, ...options });
      return {
        ids: plan.claimable.map(({ id }) => id),
        counts: [plan.claimableCount, plan.othersCount],
        room: [...plan.globalRoom],
      };
    };
    const [b = "", c = ""] = rest;
    assertEquals(await shownWith([["a", 2], ["b", 1]]), {
      ids: rest,
      counts: [2, 3],
      room: [["a", 0], ["b", 1]],
    });
    assertEquals(await shownWith([["a", 3]]), {
      ids: [full, ...rest],
      counts: [3, 2],
      room: [["a", 1]],
    });
    // All that is not named is together.
    assertEquals(await shownWith([["b", 1], [OTHERS, 2]]), {
      ids: [b],
      counts: [1, 4],
      room: [["b", 1], [OTHERS, 0]],
    });
    const only = { providers: ["a", "c"] };
    assertEquals((await shownWith([["a", 2]], only)).ids, [c]);
    assertEquals((await shownWith([["b", 1], [OTHERS, 2]], only)).ids, []);
    await elapse(LEASE_MS);
    assertEquals((await shownWith([["a", 2]])).counts, [5, 0]);
  });

  test("preview() shows nothing that endAbandoned() ends as claimable", async ({ store, elapse }) => {
    const [cancelled = "", dead = ""] = await create(store, [
      {},
      { maxAttempts: 1 },
    ]);
    await claim(store);
    await store.admin.cancel([cancelled]);
    await elapse(LEASE_MS);
    const plan = await preview(store);
    assertEquals([plan.claimableCount, plan.othersCount], [0, 2]);
    const ended = (await endAbandoned(store)).map(({ task }) => task.id);
    assertEquals(ended.sort(), [cancelled, dead].sort());
    assertEquals((await preview(store)).othersCount, 0);
  });

  test("a state that nobody here knows is left alone", async (subject) => {
    const { store, changeTask, storedTextOf } = subject;
    const id = await createOne(store);
    await changeTask(id, { state: "paused" });
    const before = await storedTextOf(id);
    assertEquals(await store.admin.cancel([id]), ["unknown state"]);
    assertEquals(await store.admin.answer([id], "x"), ["not asked"]);
    assertEquals(await store.admin.retry([id]), [
      { kind: "refused", why: "unknown state" },
    ]);
    assertEquals(idsOf(await claim(store)), []);
    assertEquals(idsOf(await claim(store, { taskId: id })), []);
    assertEquals(await endAbandoned(store), []);
    assertEquals(await dueIn(store), null);
    assertEquals(await store.admin.cancellable({}), []);
    assertEquals(await store.admin.retryable({}), []);
    const { others } = await preview(store);
    assertEquals(others.map((task) => task.state as string), ["paused"]);
    assertEquals(await storedTextOf(id), before);
    const other = await createOne(store);
    assertEquals((await claimOne(store)).task.id, other);
  });
}
