import { assert, assertEquals, assertRejects } from "@std/assert";
import { DatabaseError } from "../../../lib/base/errors.ts";
import { connectDuckDb } from "../../../lib/store/duckdb/connection.ts";
import { complete } from "../../../lib/task/transitions.ts";
import { at, TimedStore } from "./timed_store.ts";

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
  // What is left may be written into a block more, before the rest is free.
  assert(size.after <= size.before + BLOCK_BYTES, JSON.stringify(size));
  assert(size.after - size.free < size.before / 2, JSON.stringify(size));
  assert(size.free >= 0 && size.free < size.after, String(size.free));
  // What is free is measured in the file itself.
  assertEquals([...Deno.readDirSync(folder.path)].map(({ name }) => name), [
    "tasks.duckdb",
  ]);
  assertEquals(size.after % 4_096, 0);
  assert(size.after <= Deno.statSync(folder.database).size);
});

/** In which DuckDB's file grows. */
const BLOCK_BYTES = 262_144;

class TempFolder implements AsyncDisposable {
  readonly path = Deno.makeTempDirSync({ prefix: "prune_test_" });
  readonly database = `${this.path}/tasks.duckdb`;

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}
