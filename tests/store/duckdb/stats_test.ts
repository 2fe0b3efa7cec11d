import { assert, assertEquals } from "@std/assert";
import { connectDuckDb } from "../../../lib/store/duckdb/connection.ts";
import { ensureSchema } from "../../../lib/store/duckdb/schema.ts";
import { readStats } from "../../../lib/store/duckdb/stats.ts";
import type { StatsOptions } from "../../../lib/store/contract.ts";
import {
  askInput,
  cancel,
  complete,
  release,
  retryLater,
} from "../../../lib/task/transitions.ts";
import { at, TimedStore, USER } from "./timed_store.ts";

const HOUR: StatsOptions = {
  start: at(0),
  bucketMs: 60_000,
  buckets: 60,
  reasons: 10,
};

/** A bucket in which nothing happened. */
const EMPTY = {
  created: 0,
  started: 0,
  completed: 0,
  failed: 0,
  cancelled: 0,
  retried: 0,
  wait: null,
  run: null,
};

/** Percentiles of one length of time, in seconds. */
function all(seconds: number) {
  const ms = seconds * 1_000;
  return { p50: ms, p95: ms, p99: ms };
}

Deno.test("stats() of an empty store has buckets of nothing, and nothing else", async () => {
  await using timed = await TimedStore.open();
  const { admin } = timed.store;
  assertEquals(await admin.stats(HOUR), {
    buckets: Array(60).fill(EMPTY),
    times: [],
    failures: [],
  });
});

Deno.test("stats() counts in a bucket what happened from its start to before its end", async () => {
  await using timed = await TimedStore.open();
  const { admin } = timed.store;
  await timed.runTask({ createdAt: -1, startedAt: 0, endedAt: 59.999 });
  await timed.runTask({ startedAt: 60, endedAt: 120, error: "no" });
  await timed.runTask({ startedAt: 60, endedAt: 3_600 });
  timed.setTo(61);
  const ids = await timed.create({});
  timed.setTo(130);
  await admin.cancel(ids);
  const { buckets } = await admin.stats(HOUR);
  assertEquals(buckets.slice(0, 4), [
    {
      ...{ ...EMPTY, created: 2, started: 1, completed: 1 },
      ...{ wait: all(1), run: all(59.999) },
    },
    { ...EMPTY, created: 1, started: 2, wait: all(60) },
    { ...EMPTY, failed: 1, cancelled: 1, run: all(60) },
    EMPTY,
  ]);
  assertEquals(buckets.at(-1), EMPTY);
});

Deno.test("stats() measures each attempt, the same in buckets and for providers", async () => {
  await using timed = await TimedStore.open();
  const { admin, queue } = timed.store;
  const first = await timed.start({ startedAt: 5 });
  timed.setTo(15);
  await queue.record([retryLater(first, { error: "busy", delayMs: 85_000 })]);
  timed.setTo(100);
  const [second] = await timed.claim();
  assert(second);
  timed.setTo(101);
  await queue.record([complete(second)]);
  const { buckets, times } = await admin.stats({
    ...HOUR,
    bucketMs: 3_600_000,
    buckets: 1,
  });
  // The two runs took 10 s and 1 s.
  const run = { p50: 5_500, p95: 9_550, p99: 9_910 };
  assertEquals(buckets, [{
    ...{ ...EMPTY, created: 1, started: 2, retried: 1, completed: 1 },
    ...{ wait: all(5), run },
  }]);
  assertEquals(times, [
    { provider: "claude", wait: all(5), run },
    { provider: null, wait: all(5), run },
  ]);
});

Deno.test("stats() measures a run to its question, and not the wait for its answer", async () => {
  await using timed = await TimedStore.open();
  const { admin, queue } = timed.store;
  const first = await timed.start({ startedAt: 0 });
  timed.setTo(3);
  await queue.record([askInput(first, "Which?")]);
  timed.setTo(1_000);
  await admin.answer([first.task.id], "That");
  const [second] = await timed.claim();
  assert(second);
  timed.setTo(1_003);
  await queue.record([complete(second)]);
  const { times } = await admin.stats(HOUR);
  assertEquals(times[0]?.run, all(3));
});

Deno.test("stats() counts no time in which a task only waited to be cancelled", async () => {
  await using timed = await TimedStore.open();
  const { admin, queue } = timed.store;
  const waiting = await timed.start({ startedAt: 0 });
  const returned = await timed.start({ startedAt: 0 });
  timed.setTo(4);
  await queue.record([
    retryLater(waiting, { error: "busy", delayMs: 600_000 }),
    release(returned, "shutdown"),
  ]);
  timed.setTo(400);
  await admin.cancel([waiting.task.id, returned.task.id]);
  const { times } = await admin.stats(HOUR);
  assertEquals(times[0]?.run, all(4));
});

Deno.test("stats() measures a run that was asked to end until it did", async () => {
  await using timed = await TimedStore.open();
  const { admin, queue } = timed.store;
  const claimed = await timed.start({ startedAt: 0 });
  timed.setTo(5);
  assertEquals(await admin.cancel([claimed.task.id]), ["requested"]);
  timed.setTo(7);
  await queue.record([cancel(claimed)]);
  const { buckets, times } = await admin.stats(HOUR);
  assertEquals(buckets[0]?.run, all(7));
  assertEquals(times[0]?.run, all(7));
});

Deno.test("stats() measures histories of yore, in which a question gave its attempt back", async () => {
  const connection = await connectDuckDb(":memory:");
  try {
    await ensureSchema(connection);
    await connection.run(
      `INSERT INTO agent_tasks (id, user_id, provider, status, created_at)
       VALUES ($1, $1, 'claude', 'completed', $2::TIMESTAMPTZ)`,
      [USER, at(0).toISOString()],
    );
    const events = [
      ["started", 10],
      ["needs_input", 13],
      ["answered", 500],
      ["started", 600],
      ["completed", 660],
    ] as const;
    for (const [kind, seconds] of events) {
      await connection.run(
        `INSERT INTO agent_task_events (task_id, kind, attempt, occurred_at)
         VALUES ($1, $2, 1, $3::TIMESTAMPTZ)`,
        [USER, kind, at(seconds).toISOString()],
      );
    }
    const { times } = await readStats(connection, HOUR);
    assertEquals(times[0], { provider: "claude", wait: all(10), run: all(3) });
  } finally {
    connection.close();
  }
});

Deno.test("stats() measures waits to the first start, and runs to their end", async () => {
  await using timed = await TimedStore.open();
  const { admin } = timed.store;
  await timed.runTask({ startedAt: 10, endedAt: 11 });
  await timed.runTask({ startedAt: 20, endedAt: 24 });
  await timed.runTask({ startedAt: 30, endedAt: 39, error: "no" });
  const { times } = await admin.stats(HOUR);
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
  await using timed = await TimedStore.open();
  const { admin, queue } = timed.store;
  const first = await timed.start({ startedAt: 5 });
  timed.setTo(6);
  await queue.record([release(first, "shutdown")]);
  timed.setTo(100);
  const [second] = await timed.claim();
  assert(second);
  timed.setTo(107);
  await queue.record([complete(second)]);
  const { times } = await admin.stats(HOUR);
  assertEquals([times[0]?.wait, times[0]?.run], [all(5), all(7)]);
});

Deno.test("stats() measures what ended in its time and began before", async () => {
  await using timed = await TimedStore.open();
  const { admin } = timed.store;
  await timed.runTask({ createdAt: -90, startedAt: -50, endedAt: 10 });
  const { times } = await admin.stats(HOUR);
  assertEquals(times[0], {
    provider: "claude",
    wait: null, // Its wait was over before.
    run: all(60),
  });
  const before = { ...HOUR, start: at(-3_600) };
  const [earlier] = (await admin.stats(before)).times;
  assertEquals([earlier?.wait, earlier?.run], [all(40), null]);
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
    await using timed = await TimedStore.open();
    const { admin } = timed.store;
    await timed.runTask({ startedAt: 1, endedAt: 2, error: one });
    const exampleId = await timed.runTask({
      startedAt: 3,
      endedAt: 4,
      error: other,
    });
    const { failures } = await admin.stats(HOUR);
    assertEquals(failures, [{ reason, count: 2, exampleId }]);
  });
}

Deno.test("stats() keeps apart what differs in words, the most frequent first", async () => {
  await using timed = await TimedStore.open();
  const { admin } = timed.store;
  const errors = ["decade ended", "no access", "no access", "", "feedback"];
  for (const error of errors) {
    await timed.runTask({ startedAt: 1, endedAt: 2, error });
  }
  await timed.runTask({ startedAt: -9, endedAt: -8, error: "before" });
  const many = await admin.stats(HOUR);
  assertEquals(many.failures.map(({ reason, count }) => [reason, count]), [
    ["no access", 2],
    ["", 1],
    ["decade ended", 1],
    ["feedback", 1],
  ]);
  const few = await admin.stats({ ...HOUR, reasons: 1 });
  assertEquals(few.failures.length, 1);
  const none = await admin.stats({ ...HOUR, reasons: undefined });
  assertEquals(none.failures, []);
});
