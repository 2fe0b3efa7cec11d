/**
 * Figures about all tasks, from their table and their history.
 *
 * @module
 */

import type {
  Bucket,
  FailureReason,
  Percentiles,
  ProviderCount,
  ProviderTimes,
  Stats,
  StatsOptions,
} from "../history.ts";
import type { Connection, SqlValue } from "./connection.ts";

const COUNTED = [
  "created",
  "started",
  "completed",
  "failed",
  "cancelled",
] as const;

/** Reads the figures in the transaction that is open on the connection. */
export async function readStats(
  connection: Connection,
  { start, bucketMs, buckets, reasons }: StatsOptions,
): Promise<Stats> {
  const since = start.toISOString();
  const end = new Date(start.getTime() + bucketMs * buckets).toISOString();
  const list = async <T>(sql: string, values: readonly SqlValue[] = []) =>
    await connection.json<T[]>(
      `SELECT to_json(list(t)) FROM (${sql}) t`,
      values,
    ) ?? [];
  const kinds = await list<KindRow>(KINDS, [
    since,
    end,
    start.getTime(),
    bucketMs,
  ]);
  const times = await list<TimesRow>(TIMES, [since, end]);
  return {
    counts: await list<ProviderCount>(COUNTS),
    buckets: Array.from({ length: buckets }, (_, index) => {
      const own = kinds.filter(({ bucket }) => bucket === index);
      return Object.fromEntries(
        COUNTED.map((kind) => [
          kind,
          own.find((row) => row.kind === kind)?.count ?? 0,
        ]),
      ) as unknown as Bucket;
    }),
    times: times.map(({ provider, is_all, wait, run }): ProviderTimes => ({
      provider: is_all ? null : provider,
      wait: percentilesOf(wait),
      run: percentilesOf(run),
    })),
    failures: await list<FailureReason>(FAILURES, [since, end, reasons]),
  };
}

const COUNTS = `
  SELECT provider, status AS state, count(*) AS count
  FROM agent_tasks GROUP BY ALL ORDER BY provider, state`;

/** Bounds that are constants: DuckDB skips what lies outside, and casts no row. */
const IN_TIME = `occurred_at >= $1::TIMESTAMPTZ
  AND occurred_at < $2::TIMESTAMPTZ`;

const KINDS = `
  SELECT (epoch_ms(occurred_at) - $3) // $4 AS bucket, kind, count(*) AS count
  FROM agent_task_events WHERE ${IN_TIME} GROUP BY ALL`;

interface KindRow {
  readonly bucket: number;
  readonly kind: string;
  readonly count: number;
}

/**
 * Of the whole history: what ended in this time may have begun before. A million
 * events take 150 ms.
 */
const TIMES = `
  WITH runs AS (
    SELECT task_id,
      min(occurred_at) FILTER (kind = 'started') AS first_start,
      max(occurred_at) FILTER (kind = 'started') AS last_start,
      max(occurred_at) FILTER (kind <> 'started') AS end_
    FROM agent_task_events
    WHERE kind IN ('started', 'completed', 'failed', 'cancelled')
      AND occurred_at < $2::TIMESTAMPTZ
    GROUP BY task_id),
  times AS (
    SELECT provider,
      CASE WHEN first_start >= $1::TIMESTAMPTZ
        THEN epoch_ms(first_start) - epoch_ms(created_at) END AS wait,
      CASE WHEN end_ >= $1::TIMESTAMPTZ
        THEN epoch_ms(end_) - epoch_ms(last_start) END AS run
    FROM runs JOIN agent_tasks ON id = task_id)
  SELECT provider, grouping(provider) = 1 AS is_all,
    quantile_cont(wait, [0.5, 0.95, 0.99]) FILTER (wait >= 0) AS wait,
    quantile_cont(run, [0.5, 0.95, 0.99]) FILTER (run >= 0) AS run
  FROM times WHERE wait >= 0 OR run >= 0
  GROUP BY GROUPING SETS ((provider), ()) HAVING count(*) > 0 ORDER BY is_all, provider`;

interface TimesRow {
  readonly provider: string;
  readonly is_all: boolean;
  readonly wait: readonly number[] | null;
  readonly run: readonly number[] | null;
}

/** What is the same but for ids and numbers is one reason. */
const REASON = [
  ["[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "<id>"],
  ["\\b[0-9a-fA-F]*\\d[0-9a-fA-F]{5,}\\b|\\b[0-9a-fA-F]{8,}\\b", "<id>"],
  ["\\d+([.,]\\d+)*", "<n>"],
].reduce(
  (text, [pattern, name]) =>
    `regexp_replace(${text}, '${pattern}', '${name}', 'g')`,
  // The first line says it; what follows is mostly output.
  `left(split_part(coalesce(detail, ''), chr(10), 1), 300)`,
);

const FAILURES = `
  SELECT ${REASON} AS reason, count(*) AS count,
    arg_max(task_id, occurred_at) AS exampleId
  FROM agent_task_events
  WHERE kind = 'failed' AND ${IN_TIME}
  GROUP BY reason ORDER BY count DESC, reason LIMIT $3`;

function percentilesOf(values: readonly number[] | null): Percentiles | null {
  const [p50, p95, p99] = values ?? [];
  return p50 === undefined || p95 === undefined || p99 === undefined
    ? null
    : { p50, p95, p99 };
}
