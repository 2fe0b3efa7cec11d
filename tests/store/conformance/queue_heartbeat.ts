/**
 * Keeping leases.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Lease } from "../../../lib/task/task.ts";
import type { LeaseState, Store } from "../../../lib/store/contract.ts";
import { complete } from "../../../lib/task/transitions.ts";
import {
  assertNow,
  claim,
  claimOne,
  createMany,
  HOUR,
  idsOf,
  later,
  LEASE_MS,
  leasesOf,
  nth,
  record,
  startOne,
  taskOf,
  type Test,
} from "./subject.ts";

function heartbeat(
  { queue }: Store,
  leases: readonly Lease[],
  leaseMs = LEASE_MS,
): Promise<readonly LeaseState[]> {
  return queue.heartbeat(leases, { leaseMs });
}

export function testHeartbeat(test: Test): void {
  test("heartbeat() renews the leases that it is given, from then on", async (subject) => {
    const { store, elapse } = subject;
    const ids = await createMany(store, 4);
    const mine = await claim(store, { limit: 2 });
    const theirs = await claim(store, { limit: 2, owner: "runner-b" });
    await elapse(LEASE_MS / 2);
    const before = await taskOf(store, nth(ids, 2));
    await assertNow(subject, async () => {
      const states = await heartbeat(store, leasesOf(mine.tasks), HOUR);
      assertEquals(states, ["held", "held"]);
      const tasks = await Promise.all(
        ids.slice(0, 2).map((id) => taskOf(store, id)),
      );
      return tasks.map(({ leaseExpiresAt }) =>
        leaseExpiresAt && later(leaseExpiresAt, -HOUR)
      );
    });
    assertEquals(await taskOf(store, nth(ids, 2)), before);
    await elapse(LEASE_MS / 2);
    assertEquals(idsOf(await claim(store)), idsOf(theirs));
  });

  test("heartbeat() leaves the others of the same claim alone", async ({ store, elapse }) => {
    const [one = "", other = ""] = await createMany(store, 2);
    const { tasks } = await claim(store);
    assertEquals(await heartbeat(store, [nth(tasks, 0).lease], HOUR), ["held"]);
    await elapse(LEASE_MS);
    assertEquals(idsOf(await claim(store)), [other]);
    assertEquals((await taskOf(store, one)).attempt, 1);
  });

  test("heartbeat() keeps a lease that ran out while nobody took it", async ({ store, elapse }) => {
    const run = await startOne(store);
    await elapse(9 * LEASE_MS);
    assertEquals(await heartbeat(store, [run.lease]), ["held"]);
    assertEquals(idsOf(await claim(store)), []);
  });

  test("heartbeat() says of each lease, in their order, what it is", async (subject) => {
    const { store, elapse, changeTask, storedTextOf } = subject;
    const [kept = "", ended = "", stopped = "", taken = "", cancelled = ""] =
      await createMany(store, 5);
    const { tasks } = await claim(store);
    await record(store, complete(nth(tasks, 1)));
    await changeTask(stopped, { state: "failed" });
    assertEquals(await store.admin.cancel([cancelled]), ["requested"]);
    await heartbeat(
      store,
      [tasks[0]!, tasks[4]!].map(({ lease }) => lease),
      HOUR,
    );
    await elapse(LEASE_MS);
    const newer = await claim(store, { owner: "runner-b" });
    assertEquals(idsOf(newer), [taken]);
    const lost = [ended, stopped, taken];
    const before = await Promise.all(lost.map(storedTextOf));
    const unknown = { ...nth(tasks, 0).lease, taskId: crypto.randomUUID() };
    const leases = [...leasesOf(tasks), unknown].reverse();
    assertEquals(await heartbeat(store, leases), [
      "lost",
      "cancelled",
      "lost",
      "lost",
      "lost",
      "held",
    ]);
    assertEquals(await Promise.all(lost.map(storedTextOf)), before);
    assertEquals((await taskOf(store, kept)).leaseOwner, "runner-a");
  });

  test("heartbeat() tells an older run of a task from a newer one", async ({ store, elapse }) => {
    const old = await startOne(store);
    await elapse(LEASE_MS);
    // The same runner, which was frozen meanwhile.
    const run = await claimOne(store);
    assertEquals(await heartbeat(store, [old.lease, run.lease]), [
      "lost",
      "held",
    ]);
    assertEquals(await heartbeat(store, [run.lease, old.lease]), [
      "held",
      "lost",
    ]);
    assertEquals(await heartbeat(store, [old.lease]), ["lost"]);
    await elapse(LEASE_MS / 2);
    assertEquals(idsOf(await claim(store)), []);
  });

  test("heartbeat() keeps a task that is to be cancelled, too", async ({ store, elapse }) => {
    const run = await startOne(store);
    await store.admin.cancel([run.task.id]);
    await elapse(LEASE_MS / 2);
    assertEquals(await heartbeat(store, [run.lease]), ["cancelled"]);
    await elapse(LEASE_MS / 2);
    assertEquals(idsOf(await claim(store)), []);
    assertEquals(await heartbeat(store, [run.lease]), ["cancelled"]);
  });

  test("heartbeat() writes no event and changes nothing else", async ({ store }) => {
    const run = await startOne(store);
    const { id } = run.task;
    const history = await store.admin.history(id);
    await heartbeat(store, [run.lease], HOUR);
    const task = await taskOf(store, id);
    const { leaseExpiresAt } = task;
    assertEquals(task, { ...run.task, leaseExpiresAt });
    assertEquals(await store.admin.history(id), history);
  });

  test("heartbeat() takes no leases", async ({ store, elapse }) => {
    const run = await startOne(store);
    assertEquals(await heartbeat(store, [], HOUR), []);
    await elapse(LEASE_MS);
    assertEquals(idsOf(await claim(store)), [run.task.id]);
  });
}
