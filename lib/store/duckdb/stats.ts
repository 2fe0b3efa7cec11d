/**
 * What happened over time, how long it took, and why tasks failed: from the
 * history.
 *
 * @module
 */

import type {
  FailureReason,
  Stats,
  StatsOptions,
  UsageSum,
} from "../contract.ts";
import {
  type CountRow,
  measuredShare,
  REASON_PATTERNS,
  statsOf,
  type TimesRow,
} from "../figures.ts";
import type { Connection, SqlValue } from "./connection.ts";
import { IS_SIMULATED_END } from "./rows.ts";

/** Reads the figures in the transaction that is open on the connection. */
export async function readStats(
  connection: Connection,
  { start, bucketMs, buckets, reasons = 0 }: StatsOptions,
): Promise<Stats> {
  const list = async <T>(sql: string, values: readonly SqlValue[]) =>
    await connection.json<T[]>(
      `SELECT to_json(list(t)) FROM (${sql}) t`,
      values,
    ) ?? [];
  const startMs = start.getTime();
  const end = new Date(startMs + bucketMs * buckets);
  const window = [start, end];
  const inBuckets = [...window, startMs, bucketMs];
  const counts = await list<CountRow>(COUNTS, inBuckets);
  const share = measuredShare(counts);
  const times = await list<TimesRow>(TIMES, [...inBuckets, share]);
  const failures = reasons === 0
    ? []
    : await list<FailureReason>(FAILURES, [...window, reasons]);
  const usage = await readUsage(connection, { start, end });
  return statsOf({ buckets, counts, times, failures, usage });
}

/** What runs used that ended in a time. */
export async function readUsage(
  connection: Connection,
  { start, end }: { readonly start: Date; readonly end: Date },
): Promise<UsageSum[]> {
  const sum = (name: string) =>
    `coalesce(sum((used ->> '${name}')::DOUBLE), 0) AS "${name}"`;
  return await connection.json<UsageSum[]>(
    `SELECT to_json(list(s)) FROM (
       SELECT coalesce(used ->> 'provider', '') AS provider,
         used ->> 'model' AS model, count(*) AS runs,
         ${["input", "output", "cached", "costUsd"].map(sum).join(", ")}
       FROM (SELECT usage::JSON AS used FROM agent_task_events
         WHERE usage IS NOT NULL AND ${IN_TIME})
       GROUP BY ALL
       ORDER BY "costUsd" DESC, input DESC, provider, model) s`,
    [start, end],
  ) ?? [];
}

/** Bounds that are constants: DuckDB skips what lies outside, and casts no row. */
const IN_TIME = `occurred_at >= $1::TIMESTAMPTZ
  AND occurred_at < $2::TIMESTAMPTZ`;

const COUNTS = `
  SELECT (epoch_ms(occurred_at) - $3) // $4 AS bucket, kind, count(*) AS count,
    count(*) FILTER (${IS_SIMULATED_END}) AS simulated
  FROM agent_task_events WHERE ${IN_TIME} GROUP BY ALL`;

/**
 * An attempt begins with its last start (what was given back begins again as the
 * same one) and ends with the first event that ends one: a task may be cancelled
 * long after. What ended in this time may have begun before. A question gave its
 * attempt back once, so that old histories have two runs of one number: the first
 * of them counts.
 */
const TIMES = `
  WITH attempts AS (
    SELECT task_id, attempt,
      min(occurred_at) FILTER (kind = 'started') AS first_start,
      max(occurred_at) FILTER (kind = 'started') AS last_start,
      min(occurred_at) FILTER (kind <> 'started') AS end_
    FROM agent_task_events
    WHERE kind IN ('started', 'completed', 'failed', 'cancelled',
        'retry_scheduled', 'needs_input')
      AND occurred_at < $2::TIMESTAMPTZ
      AND hash(task_id) % $5::UBIGINT = 0
      AND task_id IN (SELECT task_id FROM agent_task_events WHERE ${IN_TIME})
    GROUP BY task_id, attempt),
  spans AS (
    SELECT task_id, true AS is_run, end_ AS moment,
      CASE WHEN last_start <= end_ THEN last_start ELSE first_start END AS since
    FROM attempts WHERE first_start <= end_ AND end_ >= $1::TIMESTAMPTZ
    UNION ALL
    SELECT task_id, false, first_start, NULL
    FROM attempts WHERE attempt = 1 AND first_start >= $1::TIMESTAMPTZ),
  times AS (
    SELECT provider, is_run, (epoch_ms(moment) - $3) // $4 AS bucket,
      epoch_ms(moment) - epoch_ms(coalesce(since, created_at)) AS ms
    FROM spans JOIN agent_tasks ON id = task_id)
  SELECT bucket, provider,
    quantile_cont(ms, [0.5, 0.95, 0.99]) FILTER (NOT is_run) AS wait,
    quantile_cont(ms, [0.5, 0.95, 0.99]) FILTER (is_run) AS run
  FROM times WHERE ms >= 0
  GROUP BY GROUPING SETS ((bucket), (provider), ()) HAVING count(*) > 0
  ORDER BY provider NULLS LAST`;

/** The first line says it; what follows is mostly output. */
const REASON = REASON_PATTERNS.reduce(
  (text, [pattern, name]) =>
    `regexp_replace(${text}, '${pattern}', '${name}', 'g')`,
  `left(split_part(coalesce(detail, ''), chr(10), 1), 300)`,
);

const FAILURES = `
  SELECT ${REASON} AS reason, count(*) AS count,
    arg_max(task_id, occurred_at) AS exampleId
  FROM agent_task_events
  WHERE kind = 'failed' AND ${IN_TIME}
  GROUP BY reason ORDER BY count DESC, reason LIMIT $3`;
