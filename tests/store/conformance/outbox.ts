/**
 * The outbox: each event gets to each receiver that wants it, in its task's order.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type {
  Delivery,
  DeliveryResult,
  EndpointStatus,
  Exchange,
  ExchangeOptions,
  Store,
  Subscription,
} from "../../../lib/store/contract.ts";
import {
  askInput,
  complete,
  fail,
  retryLater,
} from "../../../lib/task/transitions.ts";
import {
  assertNow,
  claimOne,
  HOUR,
  MINUTE,
  minutes,
  nth,
  record,
  startOne,
  taskOf,
  type Test,
} from "./subject.ts";

const ALL: Subscription = {
  endpoint: "https://example.com/all",
  events: ["completed", "failed", "retry_scheduled", "cancelled"],
};
const OTHER: Subscription = { ...ALL, endpoint: "https://example.com/other" };

function exchange(
  { outbox }: Store,
  options: Partial<ExchangeOptions> = {},
  subscription: Subscription = ALL,
): Promise<Exchange> {
  return outbox.exchange(subscription, {
    results: [],
    limit: 100,
    leaseMs: HOUR,
    patience: { ms: 1_000 * HOUR, tries: 100 },
    ...options,
  });
}

async function statusOf(
  { outbox }: Store,
  subscription: Subscription = ALL,
): Promise<EndpointStatus> {
  const [status] = await outbox.status([subscription]);
  assert(status);
  return status;
}

/** Runs a task to its end. Returns its id. */
async function runTask(
  store: Store,
  { end = complete, provider = "simulate" } = {},
): Promise<string> {
  const run = await startOne(store, { provider });
  await record(store, end(run));
  return run.task.id;
}

const failing: typeof complete = (run) => fail(run, "it broke");

/** A task that fails once, and is completed then. */
async function runTwice(store: Store): Promise<string> {
  const run = await startOne(store);
  const taskId = run.task.id;
  await record(store, retryLater(run, { error: "not yet", delayMs: 0 }));
  await record(store, complete(await claimOne(store, { taskId })));
  return taskId;
}

/** Who wants to know of batches only. */
const BATCHES: Subscription = {
  endpoint: "https://example.com/batches",
  events: ["batch_ended"],
};

function shown(deliveries: readonly Delivery[]): [string, string, number][] {
  return deliveries.map(({ taskId, event, tries }) => [taskId, event, tries]);
}

/** The same result for each of these deliveries. */
function all(
  deliveries: readonly Delivery[],
  result: { kind: "delivered" } | { kind: "returned" } | {
    kind: "failed";
    error: string;
    retryMs: number | null;
  },
): DeliveryResult[] {
  return deliveries.map(({ eventId }) => ({ eventId, ...result }));
}

export function testOutbox(test: Test): void {
  test("exchange() gives the end of a batch to who wants it, and to no other", async ({ store }) => {
    await store.outbox.register([ALL, BATCHES]);
    const one = await startOne(store, { batch: "nightly" });
    const two = await startOne(store, { batch: "nightly" });
    await record(store, complete(one), fail(two, "no"));
    const { deliveries } = await exchange(store, {}, BATCHES);
    assertEquals(
      deliveries.map(({ taskId, event, detail }) => [taskId, event, detail]),
      [[two.task.id, "batch_ended", "nightly: 1 completed, 1 failed"]],
    );
    const all = await exchange(store);
    assertEquals(shown(all.deliveries), [
      [one.task.id, "completed", 1],
      [two.task.id, "failed", 1],
    ]);
  });

  testRegister(test);
  testDeliveries(test);
  testResults(test);
  testGivingUp(test);
}

function testRegister(test: Test): void {
  test("register() gives a new receiver what happens from then on", async ({ store }) => {
    await runTask(store);
    await store.outbox.register([ALL, OTHER]);
    assertEquals((await exchange(store)).deliveries, []);
    const id = await runTask(store);
    for (const subscription of [ALL, OTHER]) {
      const { deliveries } = await exchange(store, {}, subscription);
      assertEquals(shown(deliveries), [[id, "completed", 1]]);
    }
  });

  test("register() takes nothing from a receiver that is known", async ({ store }) => {
    await store.outbox.register([ALL]);
    const id = await runTask(store);
    await store.outbox.register([ALL]);
    const { deliveries } = await exchange(store);
    assertEquals(shown(deliveries), [[id, "completed", 1]]);
  });

  test("exchange() gives the events and providers that were asked for", async ({ store }) => {
    const picky: Subscription = {
      endpoint: "https://example.com/picky",
      events: ["failed"],
      providers: ["b"],
    };
    await store.outbox.register([picky]);
    await runTask(store, { provider: "b" });
    await runTask(store, { provider: "a", end: failing });
    const id = await runTask(store, { provider: "b", end: failing });
    assertEquals((await statusOf(store, picky)).pending, 1);
    const { deliveries } = await exchange(store, {}, picky);
    assertEquals(shown(deliveries), [[id, "failed", 1]]);
  });

  test("status() leaves out those that no runner has served", async ({ store }) => {
    assertEquals(await store.outbox.status([ALL, OTHER]), []);
    await store.outbox.register([OTHER]);
    assertEquals(await store.outbox.status([ALL, OTHER]), [{
      endpoint: OTHER.endpoint,
      pending: 0,
      givenUp: 0,
      lastSuccessAt: null,
      lastErrorAt: null,
      lastError: null,
      goneAt: null,
    }]);
    await runTask(store);
    assertEquals((await statusOf(store, OTHER)).pending, 1);
  });
}

function testDeliveries(test: Test): void {
  test("exchange() says what happened to which task", async ({ store }) => {
    await store.outbox.register([ALL]);
    const run = await startOne(store, {
      instruction: "do it",
      targetType: "pr",
      targetRef: "a/b#5",
    });
    const { at } = await record(store, complete(run, { message: "Done" }));
    const { deliveries } = await exchange(store);
    const task = await taskOf(store, run.task.id);
    const history = await store.admin.history(task.id);
    assertEquals(deliveries, [{
      eventId: nth(history, 2).id,
      event: "completed",
      occurredAt: at,
      attempt: 1,
      runner: "runner-a",
      detail: "Done",
      taskId: task.id,
      tries: 1,
      task: {
        userId: task.userId,
        provider: "simulate",
        targetType: "pr",
        targetRef: "a/b#5",
        instruction: "do it",
        isSimulated: false,
        approval: null,
        createdAt: task.createdAt,
      },
    }]);
  });

  test("exchange() says of a task what it asks to have approved", async ({ store }) => {
    const all = { ...ALL, events: ["needs_input"] } as const;
    await store.outbox.register([all]);
    const run = await startOne(store);
    const approval = { of: "merge", head: "abc" } as const;
    await record(store, askInput(run, "Merge it?", { approval }));
    const { deliveries } = await exchange(store, {}, all);
    assertEquals(deliveries.map(({ event, task }) => [event, task?.approval]), [
      ["needs_input", "merge"],
    ]);
  });

  test("exchange() cuts long texts", async ({ store }) => {
    await store.outbox.register([ALL]);
    const long = "0123456789".repeat(100_000);
    const run = await startOne(store, { instruction: long });
    await record(store, fail(run, long));
    const { deliveries: [delivery] } = await exchange(store);
    for (const text of [delivery?.detail, delivery?.task?.instruction]) {
      assert(text && text.length < 100_000, `${text?.length} characters`);
      assert(long.startsWith(text.slice(0, 5_000)));
    }
  });

  test("exchange() leases nothing twice", async ({ store, elapse }) => {
    await store.outbox.register([ALL]);
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) ids.push(await runTask(store));
    const seen: string[] = [];
    for (const limit of [2, 2, 2, 2]) {
      const { deliveries } = await exchange(store, { limit });
      seen.push(...deliveries.map(({ taskId }) => taskId));
    }
    assertEquals(seen, ids);
    const { nextMs } = await exchange(store);
    assertEquals(minutes(nextMs), 60);
    // Who leased them is dead.
    await elapse(HOUR);
    const again = await exchange(store);
    assertEquals(
      shown(again.deliveries),
      ids.map((id) => [id, "completed", 2]),
    );
  });

  test("exchange() leases nothing twice to those who ask at once", async ({ store }) => {
    await store.outbox.register([ALL]);
    for (let n = 0; n < 12; n++) await runTask(store);
    const exchanges = await Promise.all(
      Array.from({ length: 6 }, () => exchange(store, { limit: 4 })),
    );
    const seen = exchanges.flatMap(({ deliveries }) =>
      deliveries.map(({ eventId }) => eventId)
    );
    assertEquals([seen.length, new Set(seen).size], [12, 12]);
  });

  test("exchange() gives the events of one task one after the other", async ({ store }) => {
    await store.outbox.register([ALL]);
    const twice = await runTwice(store);
    const once = await runTask(store);
    const first = await exchange(store);
    assertEquals(shown(first.deliveries), [
      [twice, "retry_scheduled", 1],
      [once, "completed", 1],
    ]);
    assertEquals((await exchange(store)).deliveries, []);
    const results = all(first.deliveries.slice(0, 1), { kind: "delivered" });
    const second = await exchange(store, { results });
    assertEquals(shown(second.deliveries), [[twice, "completed", 1]]);
  });
}

function testResults(test: Test): void {
  test("exchange() forgets what was delivered, and notes when", async (subject) => {
    const { store } = subject;
    await store.outbox.register([ALL]);
    await runTask(store);
    await runTask(store);
    const { deliveries } = await exchange(store);
    await assertNow(subject, async () => {
      const results = all(deliveries, { kind: "delivered" });
      const after = await exchange(store, { results });
      assertEquals(after, {
        deliveries: [],
        nextMs: null,
        failures: 0,
        givenUp: 0,
      });
      const { pending, lastSuccessAt } = await statusOf(store);
      assertEquals(pending, 0);
      return [lastSuccessAt];
    });
  });

  test("exchange() gives what was returned at once, and counts no try", async ({ store }) => {
    await store.outbox.register([ALL]);
    const id = await runTask(store);
    const { deliveries } = await exchange(store);
    const results = all(deliveries, { kind: "returned" });
    const again = await exchange(store, { results });
    assertEquals(shown(again.deliveries), [[id, "completed", 1]]);
    assertEquals(again.failures, 0);
  });

  test("exchange() waits with what failed, and with its task's next event", async (subject) => {
    const { store, elapse } = subject;
    await store.outbox.register([ALL]);
    const id = await runTwice(store);
    const { deliveries } = await exchange(store);
    const failed = { kind: "failed", error: "HTTP 500" } as const;
    await assertNow(subject, async () => {
      const results = all(deliveries, { ...failed, retryMs: 30 * MINUTE });
      const early = await exchange(store, { results });
      assertEquals([early.deliveries, early.failures], [[], 1]);
      assertEquals(minutes(early.nextMs), 30);
      const { pending, lastError, lastErrorAt } = await statusOf(store);
      assertEquals([pending, lastError], [2, "HTTP 500"]);
      return [lastErrorAt];
    });
    await elapse(10 * MINUTE);
    const early = await exchange(store);
    assertEquals([early.deliveries, minutes(early.nextMs)], [[], 20]);
    await elapse(20 * MINUTE);
    const again = await exchange(store);
    assertEquals(shown(again.deliveries), [[id, "retry_scheduled", 2]]);
    const results = all(again.deliveries, { ...failed, retryMs: MINUTE });
    assertEquals((await exchange(store, { results })).failures, 2);
    await elapse(MINUTE);
    const third = await exchange(store);
    const done = all(third.deliveries, { kind: "delivered" });
    const last = await exchange(store, { results: done });
    assertEquals(last.failures, 0);
    assertEquals(shown(last.deliveries), [[id, "completed", 1]]);
  });

  test("exchange() counts failures since the last success, in the order of the results", async ({ store }) => {
    await store.outbox.register([ALL]);
    for (let n = 0; n < 3; n++) await runTask(store);
    const { deliveries } = await exchange(store);
    const [one, two, three] = deliveries.map(({ eventId }) => eventId);
    assert(one && two && three);
    const failed = { kind: "failed", error: "no", retryMs: HOUR } as const;
    const { failures } = await exchange(store, {
      results: [
        { eventId: one, ...failed },
        { eventId: two, kind: "delivered" },
        { eventId: three, ...failed },
      ],
    });
    assertEquals(failures, 1);
  });
}

function testGivingUp(test: Test): void {
  test("exchange() gives up what is not to be tried again, and goes on with the next", async ({ store }) => {
    await store.outbox.register([ALL]);
    const id = await runTwice(store);
    const { deliveries } = await exchange(store);
    const failed = { kind: "failed", error: "HTTP 400" } as const;
    const results = all(deliveries, { ...failed, retryMs: null });
    const next = await exchange(store, { results });
    assertEquals(shown(next.deliveries), [[id, "completed", 1]]);
    const { pending, givenUp } = await statusOf(store);
    assertEquals([pending, givenUp], [1, 1]);
  });

  test("exchange() gives up everything for a receiver that is gone, until it is registered again", async (subject) => {
    const { store } = subject;
    await store.outbox.register([ALL, OTHER]);
    await runTask(store);
    await runTask(store);
    const { deliveries: [first] } = await exchange(store, { limit: 1 });
    assert(first);
    const { eventId } = first;
    await assertNow(subject, async () => {
      const results = [{ eventId, kind: "gone", error: "HTTP 410" }] as const;
      const { deliveries, nextMs } = await exchange(store, { results });
      assertEquals([deliveries, nextMs], [[], null]);
      return [(await statusOf(store)).goneAt];
    });
    await runTask(store);
    assertEquals((await exchange(store)).deliveries, []);
    const { pending, givenUp, lastError } = await statusOf(store);
    assertEquals([pending, givenUp, lastError], [0, 2, "HTTP 410"]);
    assertEquals((await exchange(store, {}, OTHER)).deliveries.length, 3);
    await store.outbox.register([ALL]);
    assertEquals((await statusOf(store)).goneAt, null);
    const id = await runTask(store);
    const { deliveries } = await exchange(store);
    assertEquals(shown(deliveries), [[id, "completed", 1]]);
  });

  test("exchange() gives up what is old where nothing got through for long", async ({ store, elapse }) => {
    await store.outbox.register([ALL]);
    for (let n = 0; n < 3; n++) await runTask(store);
    const patience = { ms: HOUR, tries: 2 };
    const { deliveries } = await exchange(store, { limit: 1, patience });
    const failed = { kind: "failed", error: "no" } as const;
    const results = all(deliveries, { ...failed, retryMs: 9 * HOUR });
    const givenUp: number[] = [];
    let young = "";
    for (const ms of [0, MINUTE, 2 * HOUR]) {
      await elapse(ms);
      if (ms > HOUR) young = await runTask(store);
      const after = await exchange(store, { limit: 1, patience, results });
      givenUp.push(after.givenUp);
    }
    assertEquals(givenUp, [0, 0, 3]);
    const status = await statusOf(store);
    assertEquals([status.pending, status.givenUp], [1, 3]);
    await elapse(HOUR);
    const { deliveries: [next] } = await exchange(store);
    assertEquals(next?.taskId, young);
  });
}
