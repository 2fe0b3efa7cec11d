import { assert, assertEquals, assertRejects } from "@std/assert";
import { DatabaseError } from "../../../lib/base/errors.ts";
import { type Admin, newTasks } from "../../../lib/store/contract.ts";
import { connectDuckDb } from "../../../lib/store/duckdb/connection.ts";
import type { ClaimedTask, NewTask } from "../../../lib/task/task.ts";
import {
  askInput,
  complete,
  fail,
  retryLater,
} from "../../../lib/task/transitions.ts";
import { at, TimedStore, USER } from "./timed_store.ts";

/** Creates tasks at 0 and begins them at 1, in their order. */
async function createAndClaim(
  timed: TimedStore,
  tasks: readonly Partial<NewTask>[],
): Promise<ClaimedTask[]> {
  timed.setTo(0);
  const ids = await timed.create(...tasks);
  timed.setTo(1);
  const claimed = await timed.claim();
  return ids.map((id) => {
    const found = claimed.find(({ task }) => task.id === id);
    assert(found, `task ${id} was not claimed`);
    return found;
  });
}

/** One task of each kind, by what it is. */
async function createEach(timed: TimedStore) {
  const claimed = await createAndClaim(timed, Array(6).fill({}));
  const [completed, failed, waiting, asking, running, cancelled] = claimed;
  assert(completed && failed && waiting && asking && running && cancelled);
  timed.setTo(2);
  await timed.store.queue.record([
    complete(completed),
    fail(failed, "no"),
    retryLater(waiting, { error: "busy", delayMs: 498_000 }),
    askInput(asking, "Which?"),
  ]);
  await timed.store.admin.cancel([cancelled.task.id]);
  timed.setTo(3);
  const [created = ""] = await timed.create({});
  timed.setTo(9);
  const idOf = ({ task }: ClaimedTask) => task.id;
  return {
    completed: idOf(completed),
    failed: idOf(failed),
    waiting: idOf(waiting),
    asking: idOf(asking),
    running: idOf(running),
    cancelling: idOf(cancelled),
    created,
  };
}

async function kindsOf(admin: Admin, id: string) {
  return (await admin.history(id)).map(({ kind, detail }) => [kind, detail]);
}

Deno.test("retry() makes a new task with the content of an ended one", async () => {
  await using timed = await TimedStore.open();
  const { admin, queue } = timed.store;
  const task: Partial<NewTask> = {
    provider: "codex",
    instruction: "Mend it\nnow",
    targetType: "pr",
    targetRef: "octo/app#12",
    trace: { simulate_failure: true },
    priority: -3,
    maxAttempts: 4,
    timeoutMs: 1_500,
  };
  const [claimed] = await createAndClaim(timed, [task]);
  assert(claimed);
  timed.setTo(5);
  await queue.record([fail(claimed, "no")]);
  const { id } = claimed.task;
  const before = await admin.get(id);

  timed.setTo(9);
  const [result] = await admin.retry([id.toUpperCase()]);
  assert(result?.kind === "created");
  assertEquals(result.earlierId, null);
  assertEquals(await admin.get(id), before);
  const again = await admin.get(result.newId);
  assert(again && before);
  assertEquals(again, {
    ...before,
    id: result.newId,
    state: "created",
    traceText: `{"retry_of":"${id}"}`,
    attempt: 0,
    createdAt: at(9),
    updatedAt: at(9),
  });
  assertEquals((await kindsOf(admin, id)).at(-1), [
    "retried",
    `as task ${result.newId}`,
  ]);
  assertEquals(await kindsOf(admin, result.newId), [
    ["created", `retry of ${id}`],
  ]);
});

Deno.test("retry() makes a task that waits for its next attempt due", async () => {
  await using timed = await TimedStore.open();
  const { admin } = timed.store;
  const { waiting } = await createEach(timed);
  const before = await admin.get(waiting);
  assertEquals(await admin.retry([waiting]), [{ kind: "due" }]);
  const task = await admin.get(waiting);
  assert(before && task);
  assertEquals(task, { ...before, runAt: null, updatedAt: at(9) });
  assertEquals((await kindsOf(admin, waiting)).at(-1), ["retried", "at once"]);
  const claimed = await timed.claim();
  assert(claimed.some(({ task }) => task.id === waiting));
});

Deno.test("retry() refuses what need not or can't be retried, and changes nothing", async () => {
  await using timed = await TimedStore.open();
  const { admin } = timed.store;
  const { created, running, asking, cancelling } = await createEach(timed);
  const missing = crypto.randomUUID();
  const ids = [created, running, asking, cancelling, missing];
  const before = await Promise.all(ids.map((id) => admin.get(id)));
  const results = await admin.retry(ids);
  assertEquals(
    results.map((result) => result.kind === "refused" && result.why),
    ["created", "running", "needs_input", "cancelling", "missing"],
  );
  assertEquals(await Promise.all(ids.map((id) => admin.get(id))), before);
});

Deno.test("retry() refuses what any runner takes over at once", async () => {
  await using timed = await TimedStore.open();
  const { admin } = timed.store;
  const { running } = await createEach(timed);
  timed.setTo(3_600);
  assertEquals(await admin.retry([running]), [
    { kind: "refused", why: "claimable" },
  ]);
});

Deno.test("retry() makes new tasks that run in the order of their ids", async () => {
  await using timed = await TimedStore.open();
  const { admin, queue } = timed.store;
  const claimed = await createAndClaim(timed, Array(20).fill({}));
  await queue.record(claimed.map((it) => fail(it, "no")));
  const ids = claimed.map(({ task }) => task.id).toReversed();
  const results = await admin.retry(ids);
  assertEquals(
    (await timed.claim()).map(({ task }) => task.id),
    results.map((it) => it.kind === "created" ? it.newId : ""),
  );
});

Deno.test("retry() says which task the last retry made", async () => {
  await using timed = await TimedStore.open();
  const { admin } = timed.store;
  const { failed } = await createEach(timed);
  const results = [];
  for (const seconds of [10, 20, 30]) {
    timed.setTo(seconds);
    results.push(...await admin.retry([failed]));
  }
  const [first, second, third] = results;
  assert(first?.kind === "created" && second?.kind === "created");
  assert(third?.kind === "created");
  assertEquals(
    [first.earlierId, second.earlierId, third.earlierId],
    [null, first.newId, second.newId],
  );
});

Deno.test("retryable() leaves out what was retried, also where its trace was rewritten", async () => {
  await using timed = await TimedStore.open();
  const { admin, queue } = timed.store;
  const { failed, completed, waiting } = await createEach(timed);
  const find = async (filter = {}) =>
    (await admin.retryable(filter)).map(({ id }) => id);
  assertEquals((await find()).sort(), [failed, completed, waiting].sort());
  assertEquals(await find({ states: ["failed"] }), [failed]);
  assertEquals(await find({ provider: "codex" }), []);
  const [result] = await admin.retry([failed]);
  assert(result?.kind === "created");
  const claimed = await timed.claim();
  const again = claimed.find(({ task }) => task.id === result.newId);
  assert(again);
  await queue.record([fail(again, "no")]);
  // Of the chain, only its last one; else each retry would double them.
  assertEquals(await find({ states: ["failed"] }), [result.newId]);
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
    const claimed = await createAndClaim(timed, Array(QUOTING.length).fill({}));
    await timed.store.queue.record(claimed.map((it) => fail(it, "no")));
    ids = claimed.map(({ task }) => task.id);
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
  const { failed } = await createEach(timed);
  const [result] = await admin.retry([failed]);
  assert(result?.kind === "created");
  const again = (await timed.claim())
    .find(({ task }) => task.id === result.newId);
  assert(again);
  // Half a character, which DuckDB's JSON does not know.
  await queue.record([complete(again, { result: 'a \ud800 and "\\udfff"' })]);
  const found = await admin.retryable({ states: ["failed"] });
  assertEquals(found.map(({ id }) => id), []);
});

Deno.test("cancel() says of each task, in their order, what came of it", async () => {
  await using timed = await TimedStore.open();
  const { admin } = timed.store;
  const tasks = await createEach(timed);
  const missing = crypto.randomUUID();
  const ids = [
    tasks.created,
    tasks.running,
    missing,
    tasks.completed,
    tasks.asking,
    tasks.created.toUpperCase(),
    tasks.waiting,
  ];
  assertEquals(await admin.cancel(ids), [
    "cancelled",
    "requested",
    "missing",
    "ended",
    "cancelled",
    "cancelled",
    "cancelled",
  ]);
  assertEquals(await kindsOf(admin, tasks.created), [
    ["created", null],
    ["cancelled", null],
  ]);
  const { cancelRequestedAt, state } = (await admin.get(tasks.running))!;
  assertEquals([cancelRequestedAt, state], [at(9), "running"]);
});

Deno.test("cancel() ends at once what a runner holds and has not begun", async () => {
  await using timed = await TimedStore.open();
  const { admin, queue } = timed.store;
  const [id = ""] = await timed.create({});
  const { tasks: [held] } = await queue.claim({
    owner: "runner",
    limit: 0,
    ahead: 1,
    leaseMs: 60_000,
    maxAttempts: 3,
  });
  assert(held);
  assertEquals((await admin.get(id))?.state, "created");
  assertEquals(await admin.cancel([id]), ["cancelled"]);
  const { state, leaseOwner, leaseExpiresAt } = (await admin.get(id))!;
  assertEquals([state, leaseOwner, leaseExpiresAt], ["failed", null, null]);
  assertEquals(await queue.heartbeat([held.lease], { leaseMs: 60_000 }), [
    "lost",
  ]);
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

Deno.test("answer() says of each task what came of it, also of more text than one transaction takes", async () => {
  await using timed = await TimedStore.open();
  const { admin, queue } = timed.store;
  const tasks = await createEach(timed);
  const more = await timed.create(...Array(20).fill({}));
  const claimed = await timed.claim();
  const asked = claimed.filter(({ task }) => more.includes(task.id));
  await queue.record(asked.map((it) => askInput(it, "Which?")));
  const asking = [tasks.asking, ...more];
  const ids = [
    ...asking,
    tasks.completed,
    tasks.running,
    crypto.randomUUID(),
    tasks.asking,
  ];
  const text = "x".repeat(1_000_000);
  assertEquals(await admin.answer(ids, text), [
    ...Array(21).fill("answered"),
    "ended",
    "not asked",
    "missing",
    // In the second transaction.
    "not asked",
  ]);
  for (const id of asking) {
    assertEquals((await kindsOf(admin, id)).at(-1)?.[0], "answered");
    assertEquals((await admin.get(id))?.state, "running");
  }
  assertEquals(await admin.cancellable({ states: ["needs_input"] }), []);
});

Deno.test("cancellable() finds what cancel() ends, oldest first", async () => {
  await using timed = await TimedStore.open();
  const { admin } = timed.store;
  const { created, running, asking } = await createEach(timed);
  const open = await admin.cancellable({});
  assertEquals(open.at(-1), { id: created, state: "created" });
  assertEquals(open.length, 5);
  assertEquals(await admin.cancellable({ states: ["needs_input"] }), [
    { id: asking, state: "needs_input" },
  ]);
  assert(open.some(({ id }) => id === running));
  assertEquals(await admin.cancellable({ provider: "none" }), []);
});

Deno.test("cancel() and retry() take more tasks than one transaction does", async () => {
  await using timed = await TimedStore.open();
  const { admin } = timed.store;
  const count = 20_001;
  const tasks: NewTask[] = Array.from({ length: count }, (_, n) => ({
    userId: USER,
    provider: "bulk",
    trace: { n },
  }));
  const ids = [...(await admin.create(newTasks(tasks))).sets()].flat();
  timed.setTo(1);
  const cancelled = await admin.cancel(ids);
  assertEquals(cancelled, Array(count).fill("cancelled"));
  timed.setTo(2);
  const found = await admin.retryable({ provider: "bulk" });
  assertEquals(found.length, count);
  const retried = await admin.retry(ids);
  assertEquals(retried.filter(({ kind }) => kind === "created").length, count);
  const newIds = retried.map((it) => it.kind === "created" ? it.newId : "");
  assertEquals(new Set(newIds).size, count);
  assertEquals((await admin.count()).counts, [
    { provider: "bulk", state: "created", count },
    { provider: "bulk", state: "failed", count },
  ]);
  const last = await admin.get(newIds.at(-1) ?? "");
  assertEquals(last?.traceText, `{"retry_of":"${ids.at(-1)}"}`);
  assertEquals(await admin.retryable({}), []);
});

class TempFolder implements AsyncDisposable {
  readonly path = Deno.makeTempDirSync({ prefix: "task_sets_test_" });
  readonly database = `${this.path}/tasks.duckdb`;

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}
