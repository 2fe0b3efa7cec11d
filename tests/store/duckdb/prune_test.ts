import { assert, assertEquals, assertRejects } from "@std/assert";
import { DatabaseError } from "../../../lib/base/errors.ts";
import { connectDuckDb } from "../../../lib/store/duckdb/connection.ts";
import { complete } from "../../../lib/task/transitions.ts";
import { at, TimedStore } from "./timed_store.ts";

Deno.test("prune() deletes what ended before, with its history, and nothing else", async () => {
  await using timed = await TimedStore.open();
  const { admin } = timed.store;
  const old = await timed.runTask({ startedAt: 1, endedAt: 10 });
  const failed = await timed.runTask({ startedAt: 1, endedAt: 20, error: "" });
  const recent = await timed.runTask({ startedAt: 1, endedAt: 30 });
  const running = await timed.start({
    provider: "http",
    createdAt: 0,
    startedAt: 1,
  });
  const [created = ""] = await timed.create({ provider: "http" });
  const count = { tasks: 2, events: 6, kept: 0 };
  assertEquals(await admin.prunable(at(30)), count);
  assert(await admin.get(old));
  assertEquals(await admin.prune(at(30)), { ...count, size: null });
  for (const id of [old, failed]) {
    assertEquals(await admin.get(id), undefined);
    assertEquals(await admin.history(id), []);
  }
  for (const id of [recent, running.task.id, created]) {
    assert(await admin.get(id));
    assert((await admin.history(id)).length > 0);
  }
  assertEquals(await admin.prune(at(30)), {
    tasks: 0,
    events: 0,
    kept: 0,
    size: null,
  });
});

Deno.test("prune() keeps what webhooks still wait for", async () => {
  await using timed = await TimedStore.open();
  const { admin, outbox } = timed.store;
  const subscription = {
    endpoint: "https://example.com",
    events: ["completed"],
  } as const;
  const before = await timed.runTask({ startedAt: 1, endedAt: 2 });
  timed.setTo(3);
  await outbox.register([subscription]);
  const after = await timed.runTask({ startedAt: 4, endedAt: 5 });
  const count = { tasks: 1, events: 3, kept: 1 };
  assertEquals(await admin.prunable(at(100)), count);
  assertEquals(await admin.prune(at(100)), { ...count, size: null });
  assertEquals(await admin.get(before), undefined);
  assert(await admin.get(after));
  timed.setTo(6);
  const options = {
    limit: 10,
    leaseMs: 1_000,
    patience: { ms: 1e9, tries: 10 },
  };
  const { deliveries: [delivery] } = await outbox.exchange(subscription, {
    ...options,
    results: [],
  });
  assert(delivery);
  assertEquals((await admin.prune(at(100))).kept, 1);
  const { eventId } = delivery;
  await outbox.exchange(subscription, {
    ...options,
    results: [{ eventId, kind: "delivered" }],
  });
  assertEquals(await admin.prunable(at(100)), { ...count, kept: 0 });
});

Deno.test("prune() deletes nothing where another table refers to a task", async () => {
  await using folder = new TempFolder();
  let id: string;
  {
    await using timed = await TimedStore.open(folder.database);
    id = await timed.runTask({ startedAt: 1, endedAt: 2 });
    await timed.runTask({ startedAt: 1, endedAt: 2 });
  }
  const connection = await connectDuckDb(folder.database);
  await connection.run(
    "CREATE TABLE reviews (task UUID REFERENCES agent_tasks (id))",
  );
  await connection.run("INSERT INTO reviews VALUES ($1)", [id]);
  connection.close();
  await using timed = await TimedStore.open(folder.database);
  const { admin } = timed.store;
  await assertRejects(
    () => admin.prune(at(100)),
    DatabaseError,
    "Cannot delete old tasks: reviews refers to some of them. Nothing was",
  );
  const { counts: [count] } = await admin.count();
  assertEquals(count, { provider: "claude", state: "completed", count: 2 });
  assertEquals((await admin.history(id)).length, 3);
});

Deno.test("prune() says how large the file was and is, and what of it is free", async () => {
  await using folder = new TempFolder();
  await using timed = await TimedStore.open(folder.database);
  const { admin } = timed.store;
  const instruction = Array.from(
    { length: 3_000 },
    () => crypto.randomUUID(),
  ).join();
  await timed.create(...Array(50).fill({ instruction }));
  const claimed = await timed.claim();
  await timed.store.queue.record(claimed.map((it) => complete(it)));
  const { tasks, size } = await admin.prune(at(100));
  assertEquals(tasks, 50);
  assert(size);
  assert(size.before > 1_000_000, String(size.before));
  assert(size.after <= size.before, String(size.after));
  assert(size.free >= 0 && size.free < size.after, String(size.free));
  // What is free is measured in the file itself.
  assertEquals([...Deno.readDirSync(folder.path)].map(({ name }) => name), [
    "tasks.duckdb",
  ]);
  assertEquals(size.after % 4_096, 0);
  assert(size.after <= Deno.statSync(folder.database).size);
});

Deno.test("pruneHistory() deletes what ended longer ago, whole histories only", async () => {
  await using timed = await TimedStore.open();
  const { admin } = timed.store;
  const old = await timed.runTask({ startedAt: 1, endedAt: 10 });
  const recent = await timed.runTask({ startedAt: 1, endedAt: 20 });
  const running = await timed.start({ startedAt: 1 });
  timed.setTo(100);
  assertEquals(await admin.pruneHistory(100_000), 0);
  assertEquals(await admin.pruneHistory(85_000), 3);
  assertEquals(await admin.history(old), []);
  assert(await admin.get(old));
  assertEquals((await admin.history(recent)).length, 3);
  assertEquals((await admin.history(running.task.id)).length, 2);
});

class TempFolder implements AsyncDisposable {
  readonly path = Deno.makeTempDirSync({ prefix: "prune_test_" });
  readonly database = `${this.path}/tasks.duckdb`;

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}
