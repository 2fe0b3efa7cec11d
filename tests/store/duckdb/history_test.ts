import { assert, assertEquals, assertRejects } from "@std/assert";
import { DatabaseError } from "../../../lib/base/errors.ts";
import {
  type DuckDbTaskStore,
  openDuckDbStore,
} from "../../../lib/store/duckdb/store.ts";
import { connectDuckDb } from "../../../lib/store/duckdb/connection.ts";
import type { StatsOptions } from "../../../lib/store/history.ts";
import type { ClaimedTask } from "../../../lib/task/task.ts";
import {
  complete,
  fail,
  noteProgress,
  release,
} from "../../../lib/task/transitions.ts";

const START = Date.UTC(2026, 0, 1, 12);
const USER = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";

/** Seconds after the start of the tests' time. */
function at(seconds: number): Date {
  return new Date(START + seconds * 1_000);
}

interface Run {
  readonly provider?: string;
  readonly createdAt?: number;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly error?: string;
}

/** Creates, runs and ends a task at these seconds. */
async function runTask(
  store: DuckDbTaskStore,
  { provider = "claude", createdAt = 0, startedAt, endedAt, error }: Run,
): Promise<string> {
  const claimed = await start(store, { provider, createdAt, startedAt });
  const end = error === undefined
    ? complete(claimed, at(endedAt))
    : fail(claimed, at(endedAt), error);
  await store.record([end], at(endedAt));
  return claimed.task.id;
}

async function start(
  store: DuckDbTaskStore,
  { provider, createdAt, startedAt }: {
    readonly provider: string;
    readonly createdAt: number;
    readonly startedAt: number;
  },
): Promise<ClaimedTask> {
  await store.create([{ userId: USER, provider }], at(createdAt));
  const { claimed: [claimed] } = await store.claim({
    limit: 1,
    owner: "runner",
    leaseMs: 1e9,
    maxAttempts: 3,
    now: at(startedAt),
  });
  assert(claimed);
  return claimed;
}

const HOUR: StatsOptions = {
  start: at(0),
  bucketMs: 60_000,
  buckets: 60,
  reasons: 10,
};

Deno.test("stats() of an empty store has no counts, and buckets of nothing", async () => {
  await using store = await openDuckDbStore(":memory:");
  const stats = await store.history.stats(HOUR);
  assertEquals([stats.counts, stats.times, stats.failures], [[], [], []]);
  assertEquals(stats.buckets.length, 60);
  assertEquals(
    new Set(stats.buckets.flatMap((it) => Object.values(it))),
    new Set([0]),
  );
});

Deno.test("stats() counts tasks by provider and state, whenever they were made", async () => {
  await using store = await openDuckDbStore(":memory:");
  await runTask(store, { createdAt: -1e6, startedAt: -1e6, endedAt: -1e6 });
  await runTask(store, { startedAt: 1, endedAt: 2, error: "no" });
  await runTask(store, { provider: "http", startedAt: 1, endedAt: 2 });
  await store.create([{ userId: USER, provider: "http" }], at(3));
  const { counts } = await store.history.stats(HOUR);
  assertEquals(counts, [
    { provider: "claude", state: "completed", count: 1 },
    { provider: "claude", state: "failed", count: 1 },
    { provider: "http", state: "completed", count: 1 },
    { provider: "http", state: "created", count: 1 },
  ]);
});

Deno.test("stats() counts in a bucket what happened from its start to before its end", async () => {
  await using store = await openDuckDbStore(":memory:");
  await runTask(store, { createdAt: -1, startedAt: 0, endedAt: 59.999 });
  await runTask(store, { startedAt: 60, endedAt: 120, error: "no" });
  await runTask(store, { startedAt: 60, endedAt: 3_600 });
  const [id = ""] = await store.create(
    [{ userId: USER, provider: "claude" }],
    at(61),
  );
  await store.cancel(id, at(130));
  const { buckets } = await store.history.stats(HOUR);
  const nothing = {
    created: 0,
    started: 0,
    completed: 0,
    failed: 0,
    cancelled: 0,
  };
  assertEquals(buckets.slice(0, 4), [
    { ...nothing, created: 2, started: 1, completed: 1 },
    { ...nothing, created: 1, started: 2 },
    { ...nothing, failed: 1, cancelled: 1 },
    nothing,
  ]);
  assertEquals(buckets.at(-1), nothing);
});

Deno.test("stats() measures waits to the first start, and runs from the last", async () => {
  await using store = await openDuckDbStore(":memory:");
  await runTask(store, { startedAt: 10, endedAt: 11 });
  await runTask(store, { startedAt: 20, endedAt: 24 });
  await runTask(store, { startedAt: 30, endedAt: 39, error: "no" });
  const { times } = await store.history.stats(HOUR);
  assertEquals(times, [
    {
      provider: "claude",
      wait: { p50: 20_000, p95: 29_000, p99: 29_800 },
      run: { p50: 4_000, p95: 8_500, p99: 8_900 },
    },
    {
      provider: null,
      wait: { p50: 20_000, p95: 29_000, p99: 29_800 },
      run: { p50: 4_000, p95: 8_500, p99: 8_900 },
    },
  ]);
});

Deno.test("stats() measures a task that was given back from its last start", async () => {
  await using store = await openDuckDbStore(":memory:");
  const first = await start(store, {
    provider: "claude",
    createdAt: 0,
    startedAt: 5,
  });
  await store.record([release(first, "shutdown")], at(6));
  const { claimed: [second] } = await store.claim({
    limit: 1,
    owner: "runner",
    leaseMs: 1e6,
    maxAttempts: 3,
    now: at(100),
  });
  assert(second);
  await store.record([complete(second, at(107))], at(107));
  const [{ wait, run } = { wait: null, run: null }] =
    (await store.history.stats(HOUR)).times;
  assertEquals([wait?.p50, run?.p50], [5_000, 7_000]);
});

Deno.test("stats() measures what ended in its time and began before", async () => {
  await using store = await openDuckDbStore(":memory:");
  await runTask(store, { createdAt: -90, startedAt: -50, endedAt: 10 });
  const { times } = await store.history.stats(HOUR);
  assertEquals(times[0], {
    provider: "claude",
    wait: null, // Its wait was over before.
    run: { p50: 60_000, p95: 60_000, p99: 60_000 },
  });
  const before = { ...HOUR, start: at(-3_600) };
  const [all] = (await store.history.stats(before)).times;
  assertEquals([all?.wait?.p50, all?.run], [40_000, null]);
});

const SAME_REASONS: readonly (readonly [string, string, string])[] = [
  ["Exit code 3", "Exit code 127", "Exit code <n>"],
  ["Took 1.5 s, not 30", "Took 12 s, not 1,000", "Took <n> s, not <n>"],
  [
    `Task ${crypto.randomUUID()} is away`,
    `Task ${crypto.randomUUID()} is away`,
    "Task <id> is away",
  ],
  ["commit 9f86d08 is bad", "commit 60303ae22b is bad", "commit <id> is bad"],
  ["No\nline 1 of output", "No\nother output", "No"],
];

for (const [one, other, reason] of SAME_REASONS) {
  Deno.test(`stats() takes ${JSON.stringify([one, other])} for one reason`, async () => {
    await using store = await openDuckDbStore(":memory:");
    await runTask(store, { startedAt: 1, endedAt: 2, error: one });
    const exampleId = await runTask(store, {
      startedAt: 3,
      endedAt: 4,
      error: other,
    });
    const { failures } = await store.history.stats(HOUR);
    assertEquals(failures, [{ reason, count: 2, exampleId }]);
  });
}

Deno.test("stats() keeps apart what differs in words, the most frequent first", async () => {
  await using store = await openDuckDbStore(":memory:");
  const errors = ["decade ended", "no access", "no access", "", "feedback"];
  for (const error of errors) {
    await runTask(store, { startedAt: 1, endedAt: 2, error });
  }
  await runTask(store, { startedAt: -9, endedAt: -8, error: "before" });
  const all = await store.history.stats(HOUR);
  assertEquals(all.failures.map(({ reason, count }) => [reason, count]), [
    ["no access", 2],
    ["", 1],
    ["decade ended", 1],
    ["feedback", 1],
  ]);
  const few = await store.history.stats({ ...HOUR, reasons: 1 });
  assertEquals(few.failures.length, 1);
});

Deno.test("overview() shows what runs, what ended last, and when", async () => {
  await using store = await openDuckDbStore(":memory:");
  const old = await runTask(store, { startedAt: 1, endedAt: 2 });
  const failed = await runTask(store, {
    startedAt: 3,
    endedAt: 70.5,
    error: "no",
  });
  const running = await start(store, {
    provider: "http",
    createdAt: 71,
    startedAt: 72,
  });
  await store.record([noteProgress(running, at(75), "Half way")], at(75));
  await store.create([{ userId: USER, provider: "http" }], at(76));
  const overview = await store.history.overview({
    now: at(100),
    limit: 10,
    recentMs: 60_000,
  });
  assertEquals(overview.counts, {
    created: 1,
    running: 1,
    completed: 1,
    failed: 1,
  });
  assertEquals(overview.runningCount, 1);
  const [shown] = overview.running;
  assertEquals(
    [shown?.id, shown?.provider, shown?.startedAt],
    [running.task.id, "http", at(72)],
  );
  assertEquals(shown?.leaseExpiresAt, at(72 + 1e6));
  assertEquals(overview.ended.map(({ id }) => id), [failed, old]);
  assertEquals(overview.endedBySecond, new Map([[(START / 1_000) + 70, 1]]));
});

Deno.test("overview() shows no more than its limit, and counts all", async () => {
  await using store = await openDuckDbStore(":memory:");
  for (let n = 0; n < 3; n++) {
    await start(store, { provider: "http", createdAt: n, startedAt: 10 + n });
  }
  const overview = await store.history.overview({
    now: at(100),
    limit: 2,
    recentMs: 60_000,
  });
  assertEquals(overview.running.map(({ startedAt }) => startedAt), [
    at(10),
    at(11),
  ]);
  assertEquals(overview.runningCount, 3);
  const later = await store.history.overview({
    now: at(2e6),
    limit: 2,
    recentMs: 60_000,
  });
  assertEquals([later.running, later.runningCount], [[], 0]);
});

Deno.test("prune() deletes what ended before, with its history, and nothing else", async () => {
  await using store = await openDuckDbStore(":memory:");
  const old = await runTask(store, { startedAt: 1, endedAt: 10 });
  const failed = await runTask(store, { startedAt: 1, endedAt: 20, error: "" });
  const recent = await runTask(store, { startedAt: 1, endedAt: 30 });
  const running = await start(store, {
    provider: "http",
    createdAt: 0,
    startedAt: 1,
  });
  const [created = ""] = await store.create(
    [{ userId: USER, provider: "http" }],
    at(0),
  );
  const count = { tasks: 2, events: 6, kept: 0 };
  assertEquals(await store.history.countPrunable(at(30)), count);
  assert(await store.get(old));
  assertEquals(await store.history.prune(at(30)), count);
  for (const id of [old, failed]) {
    assertEquals(await store.get(id), undefined);
    assertEquals(await store.events(id), []);
  }
  for (const id of [recent, running.task.id, created]) {
    assert(await store.get(id));
    assert((await store.events(id)).length > 0);
  }
  assertEquals(await store.history.prune(at(30)), {
    tasks: 0,
    events: 0,
    kept: 0,
  });
});

Deno.test("prune() keeps what webhooks still wait for", async () => {
  await using store = await openDuckDbStore(":memory:");
  const subscription = {
    endpoint: "https://example.com",
    events: ["completed"],
  } as const;
  const before = await runTask(store, { startedAt: 1, endedAt: 2 });
  await store.outbox.register([subscription], at(3));
  const after = await runTask(store, { startedAt: 4, endedAt: 5 });
  assertEquals(await store.history.prune(at(100)), {
    tasks: 1,
    events: 3,
    kept: 1,
  });
  assertEquals(await store.get(before), undefined);
  assert(await store.get(after));
  const options = {
    limit: 10,
    leaseMs: 1_000,
    now: at(6),
    patience: { ms: 1e9, tries: 10 },
  };
  const { deliveries: [delivery] } = await store.outbox.exchange(subscription, {
    ...options,
    results: [],
  });
  assert(delivery);
  assertEquals((await store.history.prune(at(100))).kept, 1);
  const { eventId } = delivery;
  await store.outbox.exchange(subscription, {
    ...options,
    results: [{ eventId, kind: "delivered" }],
  });
  assertEquals(await store.history.prune(at(100)), {
    tasks: 1,
    events: 3,
    kept: 0,
  });
});

Deno.test("prune() deletes nothing where another table refers to a task", async () => {
  await using folder = new TempFolder();
  const path = `${folder.path}/tasks.duckdb`;
  let id: string;
  {
    await using store = await openDuckDbStore(path);
    id = await runTask(store, { startedAt: 1, endedAt: 2 });
    await runTask(store, { startedAt: 1, endedAt: 2 });
  }
  const connection = await connectDuckDb(path);
  await connection.run(
    "CREATE TABLE reviews (task UUID REFERENCES agent_tasks (id))",
  );
  await connection.run("INSERT INTO reviews VALUES ($1)", [id]);
  connection.close();
  await using store = await openDuckDbStore(path);
  await assertRejects(
    () => store.history.prune(at(100)),
    DatabaseError,
    "Cannot delete old tasks: reviews refers to some of them. Nothing was",
  );
  assertEquals(await store.countByState(), { completed: 2 });
  assertEquals((await store.events(id)).length, 3);
});

Deno.test("checkpoint() leaves no log, and measures the file", async () => {
  await using folder = new TempFolder();
  const path = `${folder.path}/tasks.duckdb`;
  await using store = await openDuckDbStore(path);
  await runTask(store, { startedAt: 1, endedAt: 2 });
  const { bytes, freeBytes } = await store.history.checkpoint();
  assertEquals([...Deno.readDirSync(folder.path)].map(({ name }) => name), [
    "tasks.duckdb",
  ]);
  assert(bytes > 0 && bytes <= Deno.statSync(path).size, String(bytes));
  assert(freeBytes >= 0 && freeBytes < bytes, String(freeBytes));
});

class TempFolder implements AsyncDisposable {
  readonly path = Deno.makeTempDirSync({ prefix: "history_test_" });

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}
