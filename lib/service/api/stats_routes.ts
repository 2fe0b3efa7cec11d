/**
 * What there is now and what happened over time.
 *
 * @module
 */

import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import type { Bucket, StateCount, TaskCounts } from "../../store/feed.ts";
import { type JsonObject, TASK_STATES } from "../../task/task.ts";
import { answer } from "./answer.ts";
import { json, problems } from "./documented.ts";
import { Problem } from "./problem.ts";
import { statsQuerySchema, statsSchema } from "./schemas.ts";
import type { Service } from "./context.ts";

/** Counts of the whole table need not be younger. */
const COUNTS_AGE_MS = 500;
const SERIES_AGE_MS = 2_000;
/** And not be older: what is due becomes claimable though nothing changes. */
const MAX_COUNTS_AGE_MS = 10_000;
const MAX_PROVIDERS = 100;

const UNITS_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const MAX_WINDOW_MS = 366 * 86_400_000;

const statsRoute = createRoute({
  method: "get",
  path: "/stats",
  summary: "Counts by state and provider, and what happened over time",
  request: { query: statsQuerySchema },
  responses: { 200: json(statsSchema, "Statistics"), ...problems(400) },
});

/** Adds the route. */
export function addStatsRoutes(api: OpenAPIHono, service: Service): void {
  const { store, clock, reads } = service;

  api.openapi(statsRoute, async (c) => {
    const { window, buckets } = c.req.valid("query");
    const windowMs = parseInt(window) * (UNITS_MS[window.slice(-1)] ?? 0);
    const bucketMs = Math.ceil(windowMs / buckets);
    if (windowMs > MAX_WINDOW_MS) {
      throw new Problem(400, "query.window: At most 366 days.");
    }
    // The same buckets for a while, so that a plot does not jitter.
    const last = Math.floor(clock.now().getTime() / bucketMs);
    const start = new Date((last + 1 - buckets) * bucketMs);
    const [{ counts, at }, series] = await Promise.all([
      readCounts(service),
      reads.get(
        `series ${start.getTime()} ${bucketMs}`,
        () => store.feed.series({ start, bucketMs, buckets }),
        SERIES_AGE_MS,
      ),
    ]);
    return answer({
      as_of: at.toISOString(),
      ...countsToJson(counts),
      window_seconds: bucketMs * buckets / 1_000,
      bucket_seconds: bucketMs / 1_000,
      buckets: series.map((bucket, index) =>
        bucketToJson(bucket, new Date(start.getTime() + index * bucketMs))
      ),
    });
  });
}

/** What there is in the store, read once for all who ask at about the same time. */
export function readCounts(
  { store, clock, reads }: Pick<Service, "store" | "clock" | "reads">,
): Promise<{ readonly counts: TaskCounts; readonly at: Date }> {
  const period = Math.floor(clock.monotonic() / MAX_COUNTS_AGE_MS);
  return reads.get(`counts ${period}`, async () => {
    const at = clock.now();
    return { counts: await store.feed.counts(at), at };
  }, COUNTS_AGE_MS);
}

function countsToJson(
  { counts, waiting, waitingSince, inFlight }: TaskCounts,
): JsonObject {
  const byProvider = Map.groupBy(counts, ({ provider }) => provider);
  const providers = [...byProvider].map(([provider, own]) => ({
    provider,
    total: totalOf(own),
    states: statesOf(own),
  }));
  return {
    total: totalOf(counts),
    states: {
      ...Object.fromEntries(TASK_STATES.map((state) => [state, 0])),
      ...statesOf(counts),
    },
    providers: providers.sort((a, b) => b.total - a.total)
      .slice(0, MAX_PROVIDERS),
    waiting,
    waiting_since: waitingSince?.toISOString() ?? null,
    in_flight: inFlight,
  };
}

function totalOf(counts: readonly StateCount[]): number {
  return counts.reduce((sum, { count }) => sum + count, 0);
}

/** How many there are in each state that occurs. */
export function statesOf(
  counts: readonly StateCount[],
): Record<string, number> {
  const states: Record<string, number> = {};
  for (const { state, count } of counts) {
    states[state] = (states[state] ?? 0) + count;
  }
  return states;
}

function bucketToJson({ wait, run, ...counts }: Bucket, start: Date) {
  const inSeconds = (times: Bucket["run"]) =>
    times && { p50: times.p50 / 1_000, p95: times.p95 / 1_000 };
  return {
    start: start.toISOString(),
    ...counts,
    wait_seconds: inSeconds(wait),
    run_seconds: inSeconds(run),
  };
}
