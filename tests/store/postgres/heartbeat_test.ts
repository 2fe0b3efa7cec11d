import { assert, assertEquals } from "@std/assert";
import { hasPostgres, sharedServer } from "../../support/postgres_server.ts";
import { until, within } from "../../support/until.ts";
import {
  claim,
  createMany,
  HOUR,
  LEASE_MS,
  leasesOf,
  nth,
  taskOf,
} from "../conformance/subject.ts";
import { Backdoor, openSubject } from "./subject.ts";

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: !hasPostgres, fn });
}

/** Two leases, and another program that has the row of the second one. */
async function setUp() {
  const subject = await openSubject();
  const backdoor = new Backdoor(sharedServer().address());
  await createMany(subject.store, 2);
  const { tasks } = await claim(subject.store);
  const [free, busy] = tasks.map(({ task: { id } }) => id).sort().reverse();
  assert(free !== undefined && busy !== undefined);
  const byId = new Map(tasks.map((it) => [it.task.id, it]));
  const leases = leasesOf([free, busy].flatMap((id) => byId.get(id) ?? []));
  await backdoor.ask("BEGIN");
  await backdoor.ask("SELECT FROM agent_tasks WHERE id = $1 FOR UPDATE", [
    busy,
  ]);
  return {
    store: subject.store,
    backdoor,
    leases,
    ids: { free, busy },
    async [Symbol.asyncDispose]() {
      await backdoor[Symbol.asyncDispose]();
      await subject[Symbol.asyncDispose]();
    },
  };
}

test("heartbeat() keeps no row from who writes another one that it waits for", async () => {
  await using there = await setUp();
  const { store, backdoor, leases, ids } = there;
  await using watch = new Backdoor(sharedServer().address());
  let isOver = false;
  const renewing = store.queue.heartbeat(leases, { leaseMs: HOUR })
    .finally(() => isOver = true);
  await until("it waits for the row", async () => {
    const waiting = await watch.ask("SELECT FROM pg_locks WHERE NOT granted");
    return waiting.length > 0 || isOver;
  });
  // Has no time to wait: it is there, or nobody would see that it was kept.
  await backdoor.ask("SET LOCAL lock_timeout = '1ms'");
  await backdoor.ask(
    "UPDATE agent_tasks SET priority = 7 WHERE id = $1",
    [ids.free],
  );
  await backdoor.ask("COMMIT");
  const states = await within("it is renewed", renewing);
  assertEquals(nth(states, 0), "held");
  assertEquals((await taskOf(store, ids.free)).priority, 7);
});

test("heartbeat() renews all others where one row stays busy, and says so", async () => {
  await using there = await setUp();
  const { store, backdoor, leases, ids } = there;
  const before = await taskOf(store, ids.busy);
  const states = await store.queue.heartbeat(leases, { leaseMs: HOUR });
  assertEquals(states, ["held", "busy"]);
  const { leaseExpiresAt } = await taskOf(store, ids.free);
  assert(leaseExpiresAt && +leaseExpiresAt > Date.now() + HOUR - LEASE_MS);
  await backdoor.ask("COMMIT");
  assertEquals(await taskOf(store, ids.busy), before);
  assertEquals(
    await store.queue.heartbeat(leases, { leaseMs: HOUR }),
    ["held", "held"],
  );
});
