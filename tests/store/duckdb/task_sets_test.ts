import { assert, assertEquals, assertRejects } from "@std/assert";
import { DatabaseError } from "../../../lib/base/errors.ts";
import { connectDuckDb } from "../../../lib/store/duckdb/connection.ts";
import { complete, fail } from "../../../lib/task/transitions.ts";
import { assertRetriedOnce } from "../conformance/subject.ts";
import { openInFolder } from "./subject.ts";
import { TimedStore } from "./timed_store.ts";

/** Creates tasks and has them fail. Returns their ids in their order. */
async function createFailed(timed: TimedStore, count: number) {
  const ids = await timed.create(...Array(count).fill({}));
  const claimed = await timed.claim();
  await timed.store.queue.record(claimed.map((it) => fail(it, "no")));
  return ids;
}

Deno.test("retry() makes new tasks that run in the order of their ids", async () => {
  await using timed = await TimedStore.open();
  const { admin } = timed.store;
  const results = await admin.retry(
    (await createFailed(timed, 20)).toReversed(),
  );
  assertEquals(
    (await timed.claim()).map(({ task }) => task.id),
    results.map((it) => it.kind === "created" ? it.newId : ""),
  );
});

/** Traces in which another task's trace is quoted, or what looks like it. */
const QUOTING: readonly ((id: string) => string)[] = [
  (id) => JSON.stringify({ output: { retry_of: id } }),
  (id) => JSON.stringify({ output: [{ retry_of: id }] }),
  (id) => JSON.stringify({ output: `it says "retry_of": "${id}"` }),
  (id) => `no JSON at all: "retry_of":"${id}"`,
  (id) => `{"retry_of": "${id}`,
  (id) => JSON.stringify(["retry_of", id]),
  (id) => JSON.stringify(`"retry_of":"${id}"`),
  () => '{"retry_of": 3}',
  () => '{"retry_of": null}',
];

Deno.test("retryable() takes a trace that quotes another's for no retry of it", async () => {
  await using folder = new TempFolder();
  let ids: string[];
  {
    await using timed = await TimedStore.open(folder.database);
    ids = await createFailed(timed, QUOTING.length);
  }
  const connection = await connectDuckDb(folder.database);
  for (const [index, quote] of QUOTING.entries()) {
    await connection.run(
      "UPDATE agent_tasks SET last_update = $2 WHERE id = $1::UUID",
      [ids[index] ?? "", quote(ids[0] ?? "")],
    );
  }
  connection.close();
  await using timed = await TimedStore.open(folder.database);
  const { admin } = timed.store;
  const found = await admin.retryable({ states: ["failed"] });
  assertEquals(found.map(({ id }) => id), ids);
  const [result] = await admin.retry(ids.slice(0, 1));
  assert(result?.kind === "created");
  assertEquals(result.earlierId, null);
});

Deno.test("retryable() knows a retry by its trace, whatever else is in that", async () => {
  await using timed = await TimedStore.open();
  const { admin, queue } = timed.store;
  const failed = await timed.runTask({ startedAt: 1, endedAt: 2, error: "no" });
  await admin.retry([failed]);
  const [again] = await timed.claim();
  assert(again);
  // Half a character, which DuckDB's JSON does not know.
  await queue.record([complete(again, { result: 'a \ud800 and "\\udfff"' })]);
  const found = await admin.retryable({ states: ["failed"] });
  assertEquals(found.map(({ id }) => id), []);
});

Deno.test("cancel() cancels the others where DuckDB refuses one row", async () => {
  await using folder = new TempFolder();
  let ids: string[];
  {
    await using timed = await TimedStore.open(folder.database);
    ids = await timed.create({}, {}, {}, {}, {});
  }
  const connection = await connectDuckDb(folder.database);
  await connection.run("CREATE INDEX by_status ON agent_tasks (status)");
  await connection.run(
    "CREATE TABLE reviews (task UUID REFERENCES agent_tasks (id))",
  );
  await connection.run("INSERT INTO reviews VALUES ($1)", [ids[2] ?? ""]);
  connection.close();
  await using timed = await TimedStore.open(folder.database);
  const { admin } = timed.store;
  await assertRejects(
    () => admin.cancel(ids),
    DatabaseError,
    "a foreign key refers to",
  );
  const tasks = await Promise.all(ids.map((id) => admin.get(id)));
  assertEquals(
    tasks.map((task) => String(task?.state)),
    ["failed", "failed", "created", "failed", "failed"],
  );
});

class TempFolder implements AsyncDisposable {
  readonly path = Deno.makeTempDirSync({ prefix: "task_sets_test_" });
  readonly database = `${this.path}/tasks.duckdb`;

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

Deno.test("retry() makes one that is named twice anew once", async () => {
  await using subject = await openInFolder({ exclusive: true });
  await assertRetriedOnce(subject.store);
});
