/**
 * What there is now, what happened over time, and how fast.
 *
 * @module
 */

import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { parseSpan } from "../../base/figures.ts";
import type {
  Bucket,
  Counts,
  Overview,
  Percentiles,
  ShownTask,
  StateCount,
  Stats,
  Times,
} from "../../store/contract.ts";
import { timeToJson, traceToJson } from "../../task/json.ts";
import { TASK_STATES } from "../../task/task.ts";
import { EXACT, readCounts, totalsOf } from "./counts.ts";
import { jsonResponse, Problem } from "./responses.ts";
import { json, problems, type Service } from "./routing.ts";
import {
  countsSchema,
  figuresQuerySchema,
  figuresSchema,
  overviewQuerySchema,
  overviewSchema,
  statsQuerySchema,
  statsSchema,
} from "./stats_schemas.ts";

/** Plots need not be younger. */
const PLOTTED = { minAgeMs: 2_000 };
const MAX_PROVIDERS = 100;
const MAX_WINDOW_MS = 366 * 86_400_000;

const statsRoute = createRoute({
  method: "get",
  path: "/stats",
  summary: "Counts by state and provider, and what happened over time",
  request: { query: statsQuerySchema },
  responses: { 200: json(statsSchema, "Statistics"), ...problems(400) },
});

const countsRoute = createRoute({
  method: "get",
  path: "/stats/counts",
  summary: "Counts of all states of all providers",
  responses: { 200: json(countsSchema, "The counts"), ...problems() },
});

const figuresRoute = createRoute({
  method: "get",
  path: "/stats/figures",
  summary: "How fast tasks ran in a time, and why they failed",
  request: { query: figuresQuerySchema },
  responses: { 200: json(figuresSchema, "The figures"), ...problems(400) },
});

const overviewRoute = createRoute({
  method: "get",
  path: "/stats/overview",
  summary: "What runs now and what ended last",
  request: { query: overviewQuerySchema },
  responses: { 200: json(overviewSchema, "The overview"), ...problems(400) },
});

/** Adds the routes. */
export function addStatsRoutes(api: OpenAPIHono, service: Service): void {
  const { store: { admin }, reads } = service;

  api.openapi(statsRoute, async (c) => {
    const { window, buckets } = c.req.valid("query");
    const windowMs = parseSpan(window) ?? Infinity;
    if (windowMs > MAX_WINDOW_MS) {
      throw new Problem(400, "query.window: At most 366 days.");
    }
    const counts = await readCounts(service);
    const bucketMs = Math.ceil(windowMs / buckets);
    // The same buckets for a while, so that a plot does not jitter.
    const last = Math.floor(counts.at.getTime() / bucketMs);
    const startMs = (last + 1 - buckets) * bucketMs;
    const stats = await reads.get(
      `series ${startMs} ${bucketMs}`,
      () => admin.stats({ start: new Date(startMs), bucketMs, buckets }),
      PLOTTED,
    );
    const { total, states } = totalsOf(counts.counts);
    const none = Object.fromEntries(TASK_STATES.map((state) => [state, 0]));
    return jsonResponse({
      ...nowToJson(counts),
      total,
      states: { ...none, ...states },
      providers: providersOf(counts.counts),
      window_seconds: bucketMs * buckets / 1_000,
      bucket_seconds: bucketMs / 1_000,
      buckets: stats.buckets.map(({ wait, run, ...happened }, index) => ({
        start: new Date(startMs + index * bucketMs).toISOString(),
        ...happened,
        wait_seconds: inSeconds(wait),
        run_seconds: inSeconds(run),
      })),
      usage: usageToJson(stats.usage),
    });
  });

  api.openapi(countsRoute, async () => {
    const counts = await readCounts(service, EXACT);
    return jsonResponse({ ...nowToJson(counts), tasks: countsToJson(counts) });
  });

  api.openapi(figuresRoute, async (c) => {
    const query = c.req.valid("query");
    const { start, bucket_seconds, buckets, reasons } = query;
    const stats = await reads.get(c.req.url, () =>
      admin.stats({
        start: new Date(start),
        bucketMs: bucket_seconds * 1_000,
        buckets,
        reasons,
      }));
    return jsonResponse({
      tasks: countsToJson(await readCounts(service, EXACT)),
      ...figuresToJson(stats),
    });
  });

  api.openapi(overviewRoute, async (c) => {
    const { limit, recent_seconds } = c.req.valid("query");
    const overview = await reads.get(
      c.req.url,
      () => admin.overview({ limit, recentMs: recent_seconds * 1_000 }),
      EXACT,
    );
    return jsonResponse(overviewToJson(overview));
  });
}

function nowToJson({ at, waiting, waitingSince, inFlight }: Counts) {
  return {
    as_of: at.toISOString(),
    waiting,
    waiting_since: timeToJson(waitingSince),
    in_flight: inFlight,
  };
}

function countsToJson({ counts }: Counts) {
  return counts.map((it) => ({ ...it }));
}

function providersOf(counts: readonly StateCount[]) {
  return [...Map.groupBy(counts, ({ provider }) => provider)]
    .map(([provider, own]) => ({ provider, ...totalsOf(own) }))
    .sort((a, b) => b.total - a.total)
    .slice(0, MAX_PROVIDERS);
}

function inSeconds(times: Percentiles | null) {
  return times && { p50: times.p50 / 1_000, p95: times.p95 / 1_000 };
}

function timesToJson<T extends Times | Bucket>({ wait, run, ...rest }: T) {
  return {
    ...rest,
    wait_ms: wait && { ...wait },
    run_ms: run && { ...run },
  };
}

function usageToJson(usage: Stats["usage"]) {
  return usage.map(({ costUsd, ...rest }) => ({ ...rest, cost_usd: costUsd }));
}

function figuresToJson({ buckets, times, failures, usage }: Stats) {
  return {
    buckets: buckets.map(timesToJson),
    times: times.map(timesToJson),
    usage: usageToJson(usage),
    failures: failures.map(({ exampleId, ...rest }) => ({
      ...rest,
      example_id: exampleId,
    })),
  };
}

function overviewToJson(overview: Overview) {
  return {
    states: { ...overview.counts },
    running: overview.running.map(shownToJson),
    running_count: overview.runningCount,
    ended: overview.ended.map(shownToJson),
    ended_by_second: [...overview.endedBySecond].map(([second, count]) => ({
      second,
      count,
    })),
    simulated_lately: overview.simulatedLately,
  };
}

function shownToJson(task: ShownTask) {
  return {
    id: task.id,
    provider: task.provider,
    instruction: task.instruction,
    state: task.state,
    trace: traceToJson(task.traceText),
    started_at: timeToJson(task.startedAt),
    lease_expires_at: timeToJson(task.leaseExpiresAt),
    updated_at: task.updatedAt.toISOString(),
  };
}
