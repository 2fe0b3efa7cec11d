/**
 * Figures about a time, put together from what a store counted and measured.
 *
 * @module
 */

import type {
  Bucket,
  FailureReason,
  Percentiles,
  Stats,
  Times,
  UsageSum,
} from "./contract.ts";

/** What is counted of each kind of event. */
const COUNTED = {
  created: "created",
  started: "started",
  completed: "completed",
  failed: "failed",
  cancelled: "cancelled",
  retry_scheduled: "retried",
} as const;

type Count = (typeof COUNTED)[keyof typeof COUNTED] | "simulated";

/**
 * Where more than so many things happened, times are measured of a share of the
 * tasks: a million events take 200 ms, and percentiles change by little.
 */
const MEASURED_EVENTS = 200_000;

/** How many tasks to measure one of. */
export function measuredShare(counts: readonly CountRow[]): number {
  const total = counts.reduce((sum, { count }) => sum + count, 0);
  return Math.max(1, Math.ceil(total / MEASURED_EVENTS));
}

/** How many things of a kind happened in a bucket. */
export interface CountRow {
  readonly bucket: number;
  readonly kind: string;
  readonly count: number;
  readonly simulated: number;
}

function countedOf(rows: readonly CountRow[]): Record<Count, number> {
  const counts = Object.entries(COUNTED).map(([kind, name]) => [
    name,
    rows.find((row) => row.kind === kind)?.count ?? 0,
  ]);
  const simulated = rows.reduce((sum, row) => sum + row.simulated, 0);
  return Object.fromEntries([...counts, ["simulated", simulated]]);
}

/** Of a bucket, of a provider, or, with neither, of all. */
export interface TimesRow {
  readonly bucket: number | null;
  readonly provider: string | null;
  readonly wait: readonly number[] | null;
  readonly run: readonly number[] | null;
}

function measuredOf(row: TimesRow | undefined): Times {
  return {
    wait: percentilesOf(row?.wait),
    run: percentilesOf(row?.run),
  };
}

function percentilesOf(
  values: readonly number[] | null | undefined,
): Percentiles | null {
  const [p50, p95, p99] = values ?? [];
  return p50 === undefined || p95 === undefined || p99 === undefined
    ? null
    : { p50, p95, p99 };
}

/** What is the same but for ids and numbers is one reason. */
export const REASON_PATTERNS = [
  ["[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "<id>"],
  ["\\b[0-9a-fA-F]*\\d[0-9a-fA-F]{5,}\\b|\\b[0-9a-fA-F]{8,}\\b", "<id>"],
  ["\\d+([.,]\\d+)*", "<n>"],
] as const;

/** Puts the figures together. */
export function statsOf({ buckets, counts, times, failures, usage }: {
  readonly buckets: number;
  readonly counts: readonly CountRow[];
  readonly times: readonly TimesRow[];
  readonly failures: readonly FailureReason[];
  readonly usage: readonly UsageSum[];
}): Stats {
  const countsOf = Map.groupBy(counts, ({ bucket }) => bucket);
  const timesOf = new Map(times.map((row) => [row.bucket, row]));
  return {
    buckets: Array.from({ length: buckets }, (_, index): Bucket => ({
      ...countedOf(countsOf.get(index) ?? []),
      ...measuredOf(timesOf.get(index)),
    })),
    times: times.filter(({ bucket }) => bucket === null)
      .map((row) => ({ provider: row.provider, ...measuredOf(row) })),
    failures,
    usage,
  };
}
