import { assert, assertEquals } from "@std/assert";
import {
  type DuckDbTaskStore,
  openDuckDbStore,
} from "../../../lib/store/duckdb/store.ts";
import type { ClaimedTask, NewTask } from "../../../lib/task/task.ts";
import {
  askInput,
  complete,
  fail,
  retryLater,
} from "../../../lib/task/transitions.ts";

const START = Date.UTC(2026, 0, 1);
const USER = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";

/** Seconds after the start of the tests' time. */
function at(seconds: number): Date {
  return new Date(START + seconds * 1_000);
}

async function createAndClaim(
  store: DuckDbTaskStore,
  tasks: readonly Partial<NewTask>[],
): Promise<ClaimedTask[]> {
  const ids = await store.create(
    tasks.map((task) => ({ userId: USER, provider: "claude", ...task })),
    at(0),
  );
  const { claimed } = await store.claim({
    limit: 100,
    owner: "runner",
    leaseMs: 60_000,
    maxAttempts: 3,
    now: at(1),
  });
  return ids.map((id) => {
    const found = claimed.find(({ task }) => task.id === id);
    assert(found, `task ${id} was not claimed`);
    return found;
  });
}

/** One task of each kind, by what it is. */
async function createEach(store: DuckDbTaskStore) {
  const claimed = await createAndClaim(store, Array(6).fill({}));
  const [completed, failed, waiting, asking, running, cancelled] = claimed;
  assert(completed && failed && waiting && asking && running && cancelled);
  await store.record([
    complete(completed, at(2)),
    fail(failed, at(2), "no"),
    retryLater(waiting, at(2), { error: "busy", runAt: at(500) }),
    askInput(asking, at(2), "Which?"),
  ], at(2));
  await store.cancel(cancelled.task.id, at(2));
  const [created = ""] = await store.create([
    { userId: USER, provider: "claude" },
  ], at(3));
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

async function kindsOf(store: DuckDbTaskStore, id: string) {
  return (await store.events(id)).map(({ kind, detail }) => [kind, detail]);
}

Deno.test("retry() makes a new task with the content of an ended one", async () => {
  await using store = await openDuckDbStore(":memory:");
  const task: NewTask = {
    userId: USER,
    provider: "codex",
    instruction: "Mend it\nnow",
    targetType: "pr",
    targetRef: "octo/app#12",
    trace: { simulate_failure: true },
    priority: -3,
    maxAttempts: 4,
    timeoutMs: 1_500,
  };
  const [claimed] = await createAndClaim(store, [task]);
  assert(claimed);
  await store.record([fail(claimed, at(5), "no")], at(5));
  const { id } = claimed.task;
  const before = await store.get(id);

  const [result] = await store.sets.retry([id], at(9));
  assert(result?.kind === "created");
  assertEquals(result.earlierId, null);
  assertEquals(await store.get(id), before);
  const again = await store.get(result.newId);
  assert(again && before);
  const { userId, provider, instruction, targetType, targetRef } = before;
  const { priority, maxAttempts, timeoutMs } = before;
  assertEquals(again, {
    ...{ userId, provider, instruction, targetType, targetRef },
    ...{ priority, maxAttempts, timeoutMs },
    id: result.newId,
    state: "created",
    traceText: `{"retry_of":"${id}"}`,
    attempt: 0,
    runAt: null,
    leaseOwner: null,
    leaseExpiresAt: null,
    cancelRequestedAt: null,
    createdAt: at(9),
    updatedAt: at(9),
  });
  assertEquals((await kindsOf(store, id)).at(-1), [
    "retried",
    `as task ${result.newId}`,
  ]);
  assertEquals(await kindsOf(store, result.newId), [
    ["created", `retry of ${id}`],
  ]);
});

Deno.test("retry() makes a task that waits for its next attempt due", async () => {
  await using store = await openDuckDbStore(":memory:");
  const { waiting } = await createEach(store);
  const before = await store.get(waiting);
  assertEquals(await store.sets.retry([waiting], at(9)), [{ kind: "due" }]);
  const task = await store.get(waiting);
  assert(before && task);
  assertEquals(task, { ...before, runAt: null, updatedAt: at(9) });
  assertEquals((await kindsOf(store, waiting)).at(-1), ["retried", "at once"]);
  const { claimed } = await store.claim({
    limit: 100,
    owner: "runner",
    leaseMs: 60_000,
    maxAttempts: 3,
    now: at(9),
  });
  assert(claimed.some(({ task }) => task.id === waiting));
});

Deno.test("retry() refuses what need not or can't be retried, and changes nothing", async () => {
  await using store = await openDuckDbStore(":memory:");
  const { created, running, asking, cancelling } = await createEach(store);
  const missing = crypto.randomUUID();
  const ids = [created, running, asking, cancelling, missing];
  const before = await Promise.all(ids.map((id) => store.get(id)));
  const results = await store.sets.retry(ids, at(9));
  assertEquals(
    results.map((result) => result.kind === "refused" && result.why),
    ["created", "running", "needs_input", "cancelling", "missing"],
  );
  assertEquals(await Promise.all(ids.map((id) => store.get(id))), before);
});

Deno.test("retry() refuses what any runner takes over at once", async () => {
  await using store = await openDuckDbStore(":memory:");
  const { running } = await createEach(store);
  assertEquals(await store.sets.retry([running], at(3_600)), [
    { kind: "refused", why: "claimable" },
  ]);
});

Deno.test("retry() says which task the last retry made", async () => {
  await using store = await openDuckDbStore(":memory:");
  const { failed } = await createEach(store);
  const [first] = await store.sets.retry([failed], at(10));
  const [second] = await store.sets.retry([failed], at(20));
  const [third] = await store.sets.retry([failed], at(30));
  assert(first?.kind === "created" && second?.kind === "created");
  assert(third?.kind === "created");
  assertEquals(
    [first.earlierId, second.earlierId, third.earlierId],
    [null, first.newId, second.newId],
  );
});

Deno.test("findRetryable() leaves out what was retried, also where its trace was rewritten", async () => {
  await using store = await openDuckDbStore(":memory:");
  const { failed, completed, waiting } = await createEach(store);
  const find = async (filter = {}) =>
    (await store.sets.findRetryable(filter, at(9))).map(({ id }) => id);
  assertEquals(
    (await find()).sort(),
    [failed, completed, waiting].sort(),
  );
  assertEquals(await find({ states: ["failed"] }), [failed]);
  assertEquals(await find({ provider: "codex" }), []);
  const [result] = await store.sets.retry([failed], at(10));
  assert(result?.kind === "created");
  const { claimed } = await store.claim({
    limit: 100,
    owner: "runner",
    leaseMs: 60_000,
    maxAttempts: 3,
    now: at(11),
  });
  const again = claimed.find(({ task }) => task.id === result.newId);
  assert(again);
  await store.record([fail(again, at(12), "no")], at(12));
  // Of the chain, only its last one; else each retry would double them.
  assertEquals(await find({ states: ["failed"] }), [result.newId]);
});

Deno.test("cancel() says of each task, in their order, what came of it", async () => {
  await using store = await openDuckDbStore(":memory:");
  const tasks = await createEach(store);
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
  assertEquals(await store.sets.cancel(ids, at(9)), [
    "cancelled",
    "requested",
    "missing",
    "ended",
    "cancelled",
    "cancelled",
    "cancelled",
  ]);
  assertEquals(await kindsOf(store, tasks.created), [
    ["created", null],
    ["cancelled", null],
  ]);
  assertEquals((await store.get(tasks.running))?.cancelRequestedAt, at(9));
  assertEquals((await store.get(tasks.running))?.state, "running");
});

Deno.test("answer() says of each task what came of it, also of more text than one transaction takes", async () => {
  await using store = await openDuckDbStore(":memory:");
  const tasks = await createEach(store);
  const more = await store.create(
    Array(20).fill({ userId: USER, provider: "claude" }),
    at(3),
  );
  const { claimed } = await store.claim({
    limit: 100,
    owner: "runner",
    leaseMs: 60_000,
    maxAttempts: 3,
    now: at(3),
  });
  const asked = claimed.filter(({ task }) => more.includes(task.id));
  await store.record(asked.map((it) => askInput(it, at(3), "Which?")), at(3));
  const asking = [tasks.asking, ...more];
  const ids = [
    ...asking,
    tasks.completed,
    tasks.running,
    crypto.randomUUID(),
    tasks.asking,
  ];
  const text = "x".repeat(1_000_000);
  assertEquals(await store.sets.answer(ids, text, at(9)), [
    ...Array(21).fill("answered"),
    "ended",
    "not asked",
    "missing",
    // In the second transaction.
    "not asked",
  ]);
  for (const id of asking) {
    assertEquals((await kindsOf(store, id)).at(-1)?.[0], "answered");
    assertEquals((await store.get(id))?.state, "running");
  }
  assertEquals(await store.sets.findOpen({ states: ["needs_input"] }), []);
});

Deno.test("findOpen() finds what has not ended, oldest first", async () => {
  await using store = await openDuckDbStore(":memory:");
  const { created, running, asking } = await createEach(store);
  const open = await store.sets.findOpen({});
  assertEquals(open.at(-1), { id: created, state: "created" });
  assertEquals(open.length, 5);
  assertEquals(await store.sets.findOpen({ states: ["needs_input"] }), [
    { id: asking, state: "needs_input" },
  ]);
  assert(open.some(({ id }) => id === running));
  assertEquals(await store.sets.findOpen({ provider: "none" }), []);
});

Deno.test("cancel() and retry() take more tasks than one transaction does", async () => {
  await using store = await openDuckDbStore(":memory:");
  const count = 20_001;
  const tasks: NewTask[] = Array.from({ length: count }, (_, n) => ({
    userId: USER,
    provider: "bulk",
    trace: { n },
  }));
  const ids = await store.create(tasks, at(0));
  const cancelled = await store.sets.cancel(ids, at(1));
  assertEquals(cancelled, Array(count).fill("cancelled"));
  const found = await store.sets.findRetryable({ provider: "bulk" }, at(2));
  assertEquals(found.length, count);
  const retried = await store.sets.retry(ids, at(2));
  assertEquals(retried.filter(({ kind }) => kind === "created").length, count);
  const newIds = retried.map((it) => it.kind === "created" ? it.newId : "");
  assertEquals(new Set(newIds).size, count);
  assertEquals(await store.countByState(), { created: count, failed: count });
  const last = await store.get(newIds.at(-1) ?? "");
  assertEquals(last?.traceText, `{"retry_of":"${ids.at(-1)}"}`);
  assertEquals(await store.sets.findRetryable({}, at(3)), []);
});
