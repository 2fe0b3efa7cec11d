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
import type { Connection } from "./connection.ts";
import { IS_SIMULATED_END } from "./rows.ts";

/** Reads the figures in the transaction that is open on the connection. */
export async function readStats(
  connection: Connection,
  { start, bucketMs, buckets, reasons = 0 }: StatsOptions,
): Promise<Stats> {
  const end = new Date(start.getTime() + bucketMs * buckets);
  const inBuckets = [start, end, bucketMs];
  const counts = await connection.rows<CountRow>(COUNTS, inBuckets);
  const share = measuredShare(counts);
  const times = await connection.rows<TimesRow>(TIMES, [...inBuckets, share]);
  const failures = reasons === 0
    ? []
    : await connection.rows<FailureReason>(FAILURES, [start, end, reasons]);
  const usage = await readUsage(connection, { start, end });
  return statsOf({ buckets, counts, times, failures, usage });
}

/** What runs used that ended in a time. */
export function readUsage(
  connection: Connection,
  { start, end }: { readonly start: Date; readonly end: Date },
): Promise<UsageSum[]> {
  const sum = (name: string) =>
    `coalesce(sum((used ->> '${name}')::float8), 0) AS "${name}"`;
  return connection.rows<UsageSum>(
    `SELECT coalesce(used ->> 'provider', '') AS provider,
       used ->> 'model' AS model, count(*)::integer AS runs,
       ${["input", "output", "cached", "costUsd"].map(sum).join(", ")}
     FROM (SELECT usage::json AS used FROM agent_task_events
       WHERE usage IS NOT NULL AND ${IN_TIME}) spent
     GROUP BY 1, 2 ORDER BY "costUsd" DESC, input DESC, provider, model`,
    [start, end],
  );
}

const IN_TIME = `occurred_at >= $1::timestamptz
  AND occurred_at < $2::timestamptz`;

const msOf = (time: string) =>
  `floor(extract(epoch FROM ${time}) * 1000)::bigint`;
const bucketOf = (time: string) =>
  `(${msOf(time)} - ${msOf("$1::timestamptz")}) / $3::bigint`;

const COUNTS = `
  SELECT ${bucketOf("occurred_at")} AS bucket, kind, count(*) AS count,
    count(*) FILTER (WHERE ${IS_SIMULATED_END}) AS simulated
  FROM agent_task_events WHERE ${IN_TIME} GROUP BY 1, 2`;

const QUARTILES =
  "percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY ms)";

/**
 * An attempt begins with its last start (what was given back begins again as the
 * same one) and ends with the first event that ends one: a task may be cancelled
 * long after. What ended in this time may have begun before.
 */
const TIMES = `
  WITH attempts AS (
    SELECT task_id, attempt,
      min(occurred_at) FILTER (WHERE kind = 'started') AS first_start,
      max(occurred_at) FILTER (WHERE kind = 'started') AS last_start,
      min(occurred_at) FILTER (WHERE kind <> 'started') AS end_
    FROM agent_task_events
    WHERE kind IN ('started', 'completed', 'failed', 'cancelled',
        'retry_scheduled', 'needs_input')
      AND occurred_at < $2::timestamptz
      AND uuid_hash(task_id) % $4::integer = 0
      AND task_id IN (SELECT task_id FROM agent_task_events WHERE ${IN_TIME})
    GROUP BY task_id, attempt),
  spans AS (
    SELECT task_id, true AS is_run, end_ AS moment,
      CASE WHEN last_start <= end_ THEN last_start ELSE first_start END AS since
    FROM attempts WHERE first_start <= end_ AND end_ >= $1::timestamptz
    UNION ALL
    SELECT task_id, false, first_start, NULL
    FROM attempts WHERE attempt = 1 AND first_start >= $1::timestamptz),
  times AS (
    SELECT provider, is_run, ${bucketOf("moment")} AS bucket,
      ${msOf("moment")} - ${msOf("coalesce(since, created_at)")} AS ms
    FROM spans JOIN agent_tasks ON id = task_id)
  SELECT bucket, provider,
    to_json(${QUARTILES} FILTER (WHERE NOT is_run)) AS wait,
    to_json(${QUARTILES} FILTER (WHERE is_run)) AS run
  FROM times WHERE ms >= 0
  GROUP BY GROUPING SETS ((bucket), (provider), ()) HAVING count(*) > 0
  ORDER BY provider NULLS LAST`;

/** The first line says it; what follows is mostly output. */
const REASON = REASON_PATTERNS.reduce(
  (text, [pattern, name]) =>
    `regexp_replace(${text}, '${
      pattern.replaceAll("\\b", "\\y")
    }', '${name}', 'g')`,
  `left(split_part(coalesce(detail, ''), chr(10), 1), 300)`,
);

const FAILURES = `
  SELECT ${REASON} AS reason, count(*) AS count,
    (array_agg(task_id ORDER BY occurred_at DESC))[1] AS "exampleId"
  FROM agent_task_events
  WHERE kind = 'failed' AND ${IN_TIME}
  GROUP BY reason ORDER BY count DESC, reason LIMIT $3`;
