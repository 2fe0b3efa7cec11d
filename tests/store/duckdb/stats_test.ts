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
  simulated: 0,
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

Deno.test("stats() measures a share of very many tasks, and counts them all", async () => {
  const connection = await connectDuckDb(":memory:");
  try {
    await ensureSchema(connection);
    const count = 150_000;
    await connection.run(
      `INSERT INTO agent_tasks (id, user_id, provider, status, created_at)
       SELECT uuid(), $1, 'p' || range % 3, 'completed', $2::TIMESTAMPTZ
       FROM range(${count})`,
      [USER, at(0).toISOString()],
    );
    for (const [kind, seconds] of [["started", 10], ["completed", 70]]) {
      await connection.run(
        `INSERT INTO agent_task_events (task_id, kind, attempt, occurred_at)
         SELECT id, $1, 1, $2::TIMESTAMPTZ FROM agent_tasks`,
        [String(kind), at(Number(seconds)).toISOString()],
      );
    }
    const { buckets, times } = await readStats(connection, HOUR);
    assertEquals(buckets.slice(0, 2), [
      { ...EMPTY, started: count, wait: all(10) },
      { ...EMPTY, completed: count, run: all(60) },
    ]);
    assertEquals(
      times,
      ["p0", "p1", "p2", null].map((provider) => (
        { provider, wait: all(10), run: all(60) }
      )),
    );
  } finally {
    connection.close();
  }
});
