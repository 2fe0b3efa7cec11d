/**
 * Figures: what happened, how long it took, why tasks failed, and what there is.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type {
  Bucket,
  Percentiles,
  Stats,
  StatsOptions,
  Times,
} from "../../../lib/store/contract.ts";
import {
  askInput,
  complete,
  fail,
  noteProgress,
  release,
  retryLater,
  withUsage,
} from "../../../lib/task/transitions.ts";
import type { Usage } from "../../../lib/task/usage.ts";
import {
  claim,
  claimOne,
  createMany,
  createOne,
  HOUR,
  idsOf,
  lastEventAt,
  later,
  LEASE_MS,
  MINUTE,
  minutes,
  nth,
  record,
  startOne,
  type StoreUnderTest,
  taskOf,
  type Test,
} from "./subject.ts";

export function testFigures(test: Test): void {
  testBuckets(test);
  testTimes(test);
  testFailures(test);
  testOverview(test);
}

interface Run {
  readonly provider?: string;
  readonly waitMs?: number;
  readonly runMs?: number;
  readonly error?: string;
}

/** Creates, runs and ends a task, which takes that long. Returns its id. */
async function runTask(
  { store, elapse }: StoreUnderTest,
  { provider = "claude", waitMs = 0, runMs = 0, error }: Run = {},
): Promise<string> {
  const taskId = await createOne(store, { provider });
  await elapse(waitMs);
  const run = await claimOne(store, { taskId, leaseMs: runMs + HOUR });
  await elapse(runMs);
  await record(store, error === undefined ? complete(run) : fail(run, error));
  return taskId;
}

/** The figures of half a year, a part of it to come. */
async function statsOf(
  { store, now }: StoreUnderTest,
  options: Partial<StatsOptions> = {},
): Promise<Stats> {
  return await store.admin.stats({
    start: later(await now(), -4_000 * HOUR),
    bucketMs: 5_000 * HOUR,
    buckets: 1,
    ...options,
  });
}

const NOTHING: Bucket = {
  created: 0,
  started: 0,
  completed: 0,
  simulated: 0,
  failed: 0,
  cancelled: 0,
  retried: 0,
  wait: null,
  run: null,
};

function testBuckets(test: Test): void {
  test("stats() of an empty store has buckets of nothing", async (subject) => {
    const stats = await statsOf(subject, { buckets: 3, reasons: 9 });
    assertEquals(stats, {
      buckets: [NOTHING, NOTHING, NOTHING],
      times: [],
      failures: [],
      usage: [],
    });
  });

  test("stats() and usage() add up what runs used, by provider and model", async (subject) => {
    const { store, elapse } = subject;
    const use = async (provider: string, usage: Usage) => {
      const run = await startOne(store, { provider });
      const end = complete(run);
      await record(store, withUsage(end, { ...usage, provider }));
    };
    await use("claude", { input: 1, model: "old" });
    await elapse(2 * HOUR);
    await use("claude", { input: 10, output: 2, costUsd: 0.5, model: "é" });
    await use("claude", { input: 5, cached: 100, costUsd: 0.25, model: "é" });
    await use("codex", { output: 7.5 });
    const sums = [
      {
        ...{ provider: "claude", model: "é", runs: 2, input: 15, output: 2 },
        ...{ cached: 100, costUsd: 0.75 },
      },
      {
        ...{ provider: "codex", model: null, runs: 1, input: 0, output: 7.5 },
        ...{ cached: 0, costUsd: 0 },
      },
    ];
    assertEquals(await store.queue.usage(HOUR), sums);
    const start = later(await subject.now(), -HOUR);
    const { usage } = await store.admin.stats({
      ...{ start, bucketMs: 2 * HOUR, buckets: 1 },
    });
    assertEquals(usage, sums);
    assertEquals((await store.queue.usage(3 * HOUR)).length, 3);
  });

  test("stats() counts in a bucket what happened from its start to before its end", async (subject) => {
    const { store } = subject;
    const at = await lastEventAt(store, await createOne(store));
    async function createdIn(startMs: number): Promise<number[]> {
      const start = later(at, startMs);
      const options = { start, bucketMs: HOUR, buckets: 2 };
      const { buckets } = await store.admin.stats(options);
      return buckets.map(({ created }) => created);
    }
    assertEquals(await createdIn(-2 * HOUR), [0, 0]);
    assertEquals(await createdIn(-2 * HOUR + 1), [0, 1]);
    assertEquals(await createdIn(-HOUR), [0, 1]);
    assertEquals(await createdIn(-HOUR + 1), [1, 0]);
    assertEquals(await createdIn(0), [1, 0]);
    assertEquals(await createdIn(1), [0, 0]);
  });

  test("stats() counts what was only simulated among what completed", async (subject) => {
    const { store } = subject;
    await runTask(subject);
    const run = await startOne(store);
    await record(store, complete({ ...run, isSimulated: true }));
    const start = later(await subject.now(), -HOUR / 2);
    const { buckets: [bucket] } = await store.admin.stats({
      start,
      bucketMs: HOUR,
      buckets: 1,
    });
    assertEquals([bucket?.completed, bucket?.simulated], [2, 1]);
    const overview = await store.admin.overview({ limit: 1, recentMs: HOUR });
    assertEquals(overview.simulatedLately, 1);
  });

  test("stats() counts what happened to tasks, cancelled ones apart from failed ones", async (subject) => {
    const { store, elapse } = subject;
    await runTask(subject);
    await elapse(HOUR);
    await runTask(subject, { error: "no" });
    const retried = await startOne(store);
    await record(store, retryLater(retried, { error: "no", delayMs: 0 }));
    await store.admin.cancel([await createOne(store)]);
    await elapse(HOUR / 2);
    const start = later(await subject.now(), -2 * HOUR);
    const { buckets } = await store.admin.stats({
      start,
      bucketMs: HOUR,
      buckets: 3,
    });
    const counts = buckets.map(({ wait: _wait, run: _run, ...rest }) => rest);
    const { wait: _wait, run: _run, ...nothing } = NOTHING;
    assertEquals(counts, [
      { ...nothing, created: 1, started: 1, completed: 1 },
      {
        ...nothing,
        created: 3,
        started: 2,
        failed: 1,
        cancelled: 1,
        retried: 1,
      },
      nothing,
    ]);
  });
}

function inMinutes(times: Percentiles | null | undefined) {
  return times && [times.p50, times.p95, times.p99].map(minutes);
}

/** Half, 95% and 99% of the waits and runs, in minutes. */
function timesOf(times: Times | undefined) {
  return { wait: inMinutes(times?.wait), run: inMinutes(times?.run) };
}

function testTimes(test: Test): void {
  test("stats() measures waits to the first start, and runs", async (subject) => {
    for (const [wait, run] of [[1_000, 100], [2_000, 400], [3_000, 900]]) {
      const spans = { waitMs: wait! * MINUTE, runMs: run! * MINUTE };
      await runTask(subject, {
        ...spans,
        error: run === 900 ? "no" : undefined,
      });
    }
    const { times, buckets } = await statsOf(subject);
    const expected = { wait: [2_000, 2_900, 2_980], run: [400, 850, 890] };
    assertEquals(times.map(({ provider }) => provider), ["claude", null]);
    for (const all of [...times, buckets[0]]) {
      assertEquals(timesOf(all), expected);
    }
  });

  test("stats() measures the tasks of each provider, and all together", async (subject) => {
    await runTask(subject, { provider: "http", runMs: 10 * MINUTE });
    await runTask(subject, { provider: "codex", runMs: 30 * MINUTE });
    const { times } = await statsOf(subject);
    assertEquals(
      times.map((all) => [all.provider, timesOf(all).run?.[0]])
        .sort((a, b) => String(a[0]).localeCompare(String(b[0]))),
      [["codex", 30], ["http", 10], [null, 20]],
    );
  });

  test("stats() measures each attempt of a task, from its start to its end", async (subject) => {
    const { store, elapse } = subject;
    const first = await startOne(store, {}, { leaseMs: HOUR });
    await elapse(10 * MINUTE);
    const delayMs = 100 * MINUTE;
    await record(store, retryLater(first, { error: "no", delayMs }));
    await elapse(delayMs);
    const second = await claimOne(store, { leaseMs: HOUR });
    await elapse(20 * MINUTE);
    await record(store, askInput(second, "Which?"));
    await elapse(500 * MINUTE);
    await store.admin.answer([first.task.id], "main");
    await elapse(500 * MINUTE);
    const third = await claimOne(store, { leaseMs: HOUR });
    await elapse(5 * MINUTE);
    const note = { message: "half", at: new Date(0) };
    await record(store, noteProgress(third, note));
    await elapse(55 * MINUTE);
    await record(store, complete(third));
    const { times } = await statsOf(subject);
    assertEquals(timesOf(times[0]), { wait: [0, 0, 0], run: [20, 56, 59] });
  });

  test("stats() measures no attempt that was given back, or of which nobody knows the end", async (subject) => {
    const { store, elapse } = subject;
    const id = await createOne(store);
    await elapse(50 * MINUTE);
    const released = await claimOne(store, { leaseMs: HOUR });
    await elapse(10 * MINUTE);
    await record(store, release(released, "stopped"));
    await elapse(100 * MINUTE);
    await claimOne(store, { leaseMs: HOUR });
    await elapse(90 * MINUTE);
    const run = await claimOne(store, { leaseMs: 2 * HOUR });
    await elapse(70 * MINUTE);
    await record(store, complete(run));
    const { times } = await statsOf(subject);
    assertEquals(timesOf(times[0]), { wait: [50, 50, 50], run: [70, 70, 70] });
    assertEquals((await taskOf(store, id)).attempt, 2);
  });

  test("stats() measures what ended in its time and began before", async (subject) => {
    const { store, now } = subject;
    const spans = { waitMs: 40 * MINUTE, runMs: 60 * MINUTE };
    await runTask(subject, spans);
    const middle = later(await now(), -30 * MINUTE);
    const since = await statsOf(subject, { start: middle });
    // Its wait was over before.
    assertEquals(timesOf(since.times[0]), { wait: null, run: [60, 60, 60] });
    const before = await store.admin.stats({
      start: later(middle, -HOUR),
      bucketMs: HOUR,
      buckets: 1,
    });
    assertEquals(timesOf(before.times[0]), { wait: [40, 40, 40], run: null });
    assertEquals(timesOf(before.buckets[0]), { wait: [40, 40, 40], run: null });
  });
}

const SAME_REASONS: readonly (readonly [string, string, string])[] = [
  ["Exit code 3", "Exit code 127", "Exit code <n>"],
  ["Took 1.5 s, not 30", "Took 12 s, not 1,000", "Took <n> s, not <n>"],
  [
    "Task c6a6ef6c-14f6-4a0f-8fd7-7f8e4fb5d1e0 is away",
    "Task 8f1c6d3e-2b8a-4f5e-9c11-0d9b4c1e7a2f is away",
    "Task <id> is away",
  ],
  ["commit 9f86d08 is bad", "commit 60303ae22b is bad", "commit <id> is bad"],
  ["No\nline 1 of output", "No\nother output", "No"],
];

function testFailures(test: Test): void {
  for (const [one, other, reason] of SAME_REASONS) {
    test(`stats() takes ${JSON.stringify([one, other])} for one reason`, async (subject) => {
      await runTask(subject, { error: one });
      await subject.elapse(1_000);
      const exampleId = await runTask(subject, { error: other });
      const { failures } = await statsOf(subject, { reasons: 9 });
      assertEquals(failures, [{ reason, count: 2, exampleId }]);
    });
  }

  test("stats() keeps apart what differs in words, the most frequent first", async (subject) => {
    const { now, elapse } = subject;
    await runTask(subject, { error: "before" });
    await elapse(HOUR);
    const errors = ["decade ended", "no access", "no access", "", "feedback"];
    for (const error of errors) await runTask(subject, { error });
    const start = later(await now(), -HOUR / 2);
    const all = await statsOf(subject, { start, reasons: 9 });
    assertEquals(
      all.failures.slice(0, 1).map(({ reason, count }) => [reason, count]),
      [["no access", 2]],
    );
    assertEquals(
      all.failures.slice(1).map(({ reason, count }) => [reason, count]).sort(),
      [["", 1], ["decade ended", 1], ["feedback", 1]],
    );
    const few = await statsOf(subject, { start, reasons: 1 });
    assertEquals(few.failures, all.failures.slice(0, 1));
    assertEquals((await statsOf(subject, { start })).failures, []);
  });
}

function testOverview(test: Test): void {
  test("overview() shows what runs, what ended last, and when", async (subject) => {
    const { store, elapse } = subject;
    const old = await runTask(subject);
    await elapse(10 * HOUR);
    const failed = await runTask(subject, { error: "no" });
    await elapse(MINUTE);
    const run = await startOne(store, { provider: "http", instruction: "Do" });
    const { id } = run.task;
    const startedAt = await lastEventAt(store, id);
    const note = { message: "Half way", at: new Date(0) };
    await record(store, noteProgress(run, note));
    await createOne(store);
    const options = { limit: 10, recentMs: HOUR };
    const overview = await store.admin.overview(options);
    assertEquals(overview.counts, {
      created: 1,
      running: 1,
      completed: 1,
      failed: 1,
    });
    const { traceText, leaseExpiresAt, updatedAt } = await taskOf(store, id);
    assertEquals(overview.running, [{
      id,
      provider: "http",
      instruction: "Do",
      state: "running",
      traceText,
      startedAt,
      leaseExpiresAt,
      updatedAt,
    }]);
    assertEquals(overview.runningCount, 1);
    assertEquals(overview.ended.map(({ id }) => id), [failed, old]);
    const endedAt = await lastEventAt(store, failed);
    const second = Math.floor(endedAt.getTime() / 1_000);
    assertEquals(overview.endedBySecond, new Map([[second, 1]]));
    assertEquals(overview.simulatedLately, 0);
  });

  test("overview() shows no more than its limit, the longest run first, and counts all", async ({ store, elapse }) => {
    const ids: string[] = [];
    for (let n = 0; n < 3; n++) {
      ids.push((await startOne(store, {}, { leaseMs: HOUR })).task.id);
      await elapse(1_000);
    }
    const options = { limit: 2, recentMs: HOUR };
    const overview = await store.admin.overview(options);
    assertEquals(overview.running.map(({ id }) => id), ids.slice(0, 2));
    assertEquals(overview.runningCount, 3);
    await elapse(HOUR);
    const { running, runningCount } = await store.admin.overview(options);
    assertEquals([running, runningCount], [[], 0]);
  });

  test("overview() has nothing run that is only held, or waits", async ({ store }) => {
    await createMany(store, 3);
    const { tasks } = await claim(store, { limit: 1, ahead: 1 });
    const retry = retryLater(nth(tasks, 0), { error: "no", delayMs: HOUR });
    await record(store, retry);
    const options = { limit: 9, recentMs: HOUR };
    const { running, runningCount } = await store.admin.overview(options);
    assertEquals([running, runningCount], [[], 0]);
  });

  test("overview() shows the last start of a task", async ({ store, elapse }) => {
    const { task: { id } } = await startOne(store);
    await elapse(LEASE_MS);
    assertEquals(idsOf(await claim(store)), [id]);
    const startedAt = await lastEventAt(store, id);
    const options = { limit: 9, recentMs: HOUR };
    const { running: [shown] } = await store.admin.overview(options);
    assert(shown);
    assertEquals(shown.startedAt, startedAt);
  });
}
