/**
 * Deleting what ended long ago.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { DatabaseError } from "../../../lib/base/errors.ts";
import type {
  DeliveryResult,
  Exchange,
  Store,
} from "../../../lib/store/contract.ts";
import { complete, fail, release } from "../../../lib/task/transitions.ts";
import {
  createOne,
  historyOf,
  HOUR,
  later,
  record,
  startOne,
  statesOf,
  type Test,
} from "./subject.ts";

const SUBSCRIPTION = {
  endpoint: "https://example.com",
  events: ["completed"],
} as const;

function exchange(
  { outbox }: Store,
  results: readonly DeliveryResult[] = [],
): Promise<Exchange> {
  return outbox.exchange(SUBSCRIPTION, {
    results,
    limit: 10,
    leaseMs: HOUR,
    patience: { ms: 1_000 * HOUR, tries: 10 },
  });
}

/** Runs a task to its end. Returns its id. */
async function runTask(store: Store, end = complete): Promise<string> {
  const run = await startOne(store);
  await record(store, end(run));
  return run.task.id;
}

async function kindsOf(store: Store, id: string): Promise<string[]> {
  return (await historyOf(store, id)).map(([kind]) => kind);
}

export function testPrune(test: Test): void {
  testTasks(test);
  testHistory(test);
}

function testTasks(test: Test): void {
  test("prune() deletes what ended before, with its history, and nothing else", async ({ store, elapse, now }) => {
    const old = await runTask(store);
    const failed = await runTask(store, (run) => fail(run, "no"));
    const created = await createOne(store);
    const { task: running } = await startOne(store, {}, { leaseMs: 9 * HOUR });
    await elapse(HOUR);
    const recent = await runTask(store);
    const before = later(await now(), -HOUR / 2);
    const count = { tasks: 2, events: 6, kept: 0 };
    assertEquals(await store.admin.prunable(before), count);
    assertEquals(await statesOf(store), {
      created: 1,
      running: 1,
      completed: 2,
      failed: 1,
    });
    const { size, ...pruned } = await store.admin.prune(before);
    assertEquals(pruned, count);
    if (size) {
      assert(size.after > 0 && size.before > 0, JSON.stringify(size));
      assert(size.free >= 0 && size.free <= size.after, JSON.stringify(size));
    }
    for (const id of [old, failed]) {
      assertEquals(await store.admin.get(id), undefined);
      assertEquals(await kindsOf(store, id), []);
    }
    assertEquals(await kindsOf(store, created), ["created"]);
    assertEquals(await kindsOf(store, running.id), ["created", "started"]);
    assertEquals((await kindsOf(store, recent)).length, 3);
    const { size: _, ...again } = await store.admin.prune(before);
    assertEquals(again, { tasks: 0, events: 0, kept: 0 });
    assertEquals(await statesOf(store), {
      created: 1,
      running: 1,
      completed: 1,
    });
  });

  test("prune() keeps what webhooks still wait for", async ({ store, elapse, now }) => {
    const before = await runTask(store);
    await store.outbox.register([SUBSCRIPTION]);
    const after = await runTask(store);
    await elapse(HOUR);
    const prune = async () => {
      const { size: _, ...pruned } = await store.admin.prune(await now());
      return pruned;
    };
    assertEquals(await store.admin.prunable(await now()), {
      tasks: 1,
      events: 3,
      kept: 1,
    });
    assertEquals(await prune(), { tasks: 1, events: 3, kept: 1 });
    assertEquals(await store.admin.get(before), undefined);
    assert(await store.admin.get(after));
    const { deliveries: [delivery] } = await exchange(store);
    assert(delivery);
    assertEquals((await prune()).kept, 1);
    const { eventId } = delivery;
    await exchange(store, [{ eventId, kind: "delivered" }]);
    assertEquals(await prune(), { tasks: 1, events: 3, kept: 0 });
  });

  test("prune() deletes nothing where another table refers to a task", async ({ store, elapse, now, referTo }) => {
    const id = await runTask(store);
    await runTask(store);
    await referTo(id);
    await elapse(HOUR);
    const before = await now();
    await assertRejects(
      () => store.admin.prune(before),
      DatabaseError,
      "Cannot delete old tasks",
    );
    assertEquals(await statesOf(store), { completed: 2 });
    assertEquals((await kindsOf(store, id)).length, 3);
  });
}

function testHistory(test: Test): void {
  test("pruneHistory() deletes the history of what ended before, and no task", async ({ store, elapse }) => {
    const old = await runTask(store);
    const open = await startOne(store);
    await record(store, release(open, "stopped"));
    await elapse(2 * HOUR);
    const recent = await runTask(store);
    assertEquals(await store.admin.pruneHistory(HOUR), 3);
    assertEquals(await kindsOf(store, old), []);
    assertEquals(await kindsOf(store, recent), [
      "created",
      "started",
      "completed",
    ]);
    assertEquals(await kindsOf(store, open.task.id), [
      "created",
      "started",
      "released",
    ]);
    assertEquals(await statesOf(store), { running: 1, completed: 2 });
    assertEquals(await store.admin.pruneHistory(HOUR), 0);
  });

  test("pruneHistory() keeps what is not delivered yet", async ({ store, elapse }) => {
    await store.outbox.register([SUBSCRIPTION]);
    const taken = await runTask(store);
    const { deliveries } = await exchange(store);
    assertEquals(deliveries.map(({ taskId }) => taskId), [taken]);
    const unseen = await runTask(store);
    await elapse(2 * HOUR);
    await store.outbox.register([SUBSCRIPTION]);
    await store.admin.pruneHistory(HOUR);
    for (const id of [taken, unseen]) {
      assertEquals((await kindsOf(store, id)).at(-1), "completed");
    }
    await exchange(
      store,
      deliveries.map(({ eventId }) => ({ eventId, kind: "delivered" })),
    );
    await store.admin.pruneHistory(HOUR);
    assertEquals(await kindsOf(store, taken), []);
    assertEquals((await kindsOf(store, unseen)).at(-1), "completed");
  });

  test("pruneHistory() keeps nothing for a receiver that nobody serves any more", async ({ store, elapse }) => {
    await store.outbox.register([SUBSCRIPTION]);
    const id = await runTask(store);
    await elapse(2 * HOUR);
    assertEquals(await store.admin.pruneHistory(HOUR), 3);
    assertEquals(await kindsOf(store, id), []);
    assertEquals(await store.outbox.status([SUBSCRIPTION]), []);
  });
}
