/**
 * What happened over time, from the history.
 *
 * @module
 */

import type { Bucket, Percentiles, SeriesOptions } from "../feed.ts";
import type { Connection } from "./connection.ts";

/** Rows of history from which wait and run times are computed. */
const SAMPLE_ROWS = 50_000;

const COUNTED = {
  created: "created",
  started: "started",
  completed: "completed",
  failed: "failed",
  cancelled: "cancelled",
  retry_scheduled: "retried",
} as const;

type Count = (typeof COUNTED)[keyof typeof COUNTED];

/** Reads the buckets in the transaction that is open on the connection. */
export async function readSeries(
  connection: Connection,
  { start, bucketMs, buckets }: SeriesOptions,
): Promise<Bucket[]> {
  const startMs = start.getTime();
  const window = [
    startMs,
    bucketMs,
    start.toISOString(),
    new Date(startMs + bucketMs * buckets).toISOString(),
  ] as const;
  const counts = await connection.json<CountRow[]>(
    `SELECT to_json(list(t)) FROM (
       SELECT (epoch_ms(occurred_at) - $1) // $2 AS bucket, kind,
         count(*) AS count
       FROM agent_task_events WHERE ${IN_WINDOW} GROUP BY ALL) t`,
    window,
  ) ?? [];
  const total = counts.reduce((sum, { count }) => sum + count, 0);
  const share = Math.max(1, Math.ceil(total / SAMPLE_ROWS));
  const times = await connection.json<TimeRow[]>(TIMES, [...window, share]) ??
    [];
  return Array.from({ length: buckets }, (_, index) => {
    const own = counts.filter(({ bucket }) => bucket === index);
    const countOf = (kind: keyof typeof COUNTED) =>
      own.find((row) => row.kind === kind)?.count ?? 0;
    const percentilesOf = (name: TimeRow["name"]): Percentiles | null => {
      const row = times.find((it) => it.name === name && it.bucket === index);
      return row ? { p50: row.p50, p95: row.p95 } : null;
    };
    return {
      ...Object.fromEntries(
        Object.entries(COUNTED).map(([kind, name]) => [
          name,
          countOf(kind as keyof typeof COUNTED),
        ]),
      ) as Record<Count, number>,
      wait: percentilesOf("wait"),
      run: percentilesOf("run"),
    };
  });
}

/** Constants: DuckDB skips what lies outside, and casts no row. */
const IN_WINDOW = `occurred_at >= $3::TIMESTAMPTZ
  AND occurred_at < $4::TIMESTAMPTZ`;

/**
 * A run ends with the next row of its task that is no progress. Of very many
 * tasks only a share is looked at, which changes percentiles by little.
 */
const TIMES = `
  WITH history AS (
    SELECT id, task_id, kind, attempt, epoch_ms(occurred_at) AS moment
    FROM agent_task_events
    WHERE kind <> 'progress' AND hash(task_id) % $5::UBIGINT = 0 AND ${IN_WINDOW}),
  runs AS (
    SELECT moment, kind, lag(kind) OVER task AS last_kind,
      lag(moment) OVER task AS since
    FROM history WINDOW task AS (PARTITION BY task_id ORDER BY id)),
  waits AS (
    SELECT min(moment) AS moment, task_id FROM history
    WHERE kind = 'started' AND attempt = 1 GROUP BY task_id),
  times AS (
    SELECT 'run' AS name, moment, moment - since AS ms FROM runs
    WHERE last_kind = 'started' AND kind IN
      ('completed', 'failed', 'cancelled', 'retry_scheduled', 'needs_input')
    UNION ALL
    SELECT 'wait', moment, moment - coalesce(epoch_ms(created_at), 0)
    FROM waits JOIN agent_tasks ON id = task_id)
  SELECT to_json(list(t)) FROM (
    SELECT name, (moment - $1) // $2 AS bucket,
      quantile_cont(ms, 0.5) AS p50, quantile_cont(ms, 0.95) AS p95
    FROM times WHERE ms >= 0 GROUP BY ALL) t`;

interface CountRow {
  readonly bucket: number;
  readonly kind: string;
  readonly count: number;
}

interface TimeRow extends Percentiles {
  readonly name: "wait" | "run";
  readonly bucket: number;
}
