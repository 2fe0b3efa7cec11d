/**
 * What commands ask of all tasks and of their history.
 *
 * @module
 */

import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { DatabaseBusyError, DatabaseError } from "../../base/errors.ts";
import type { Overview, ShownTask, Stats } from "../../store/history.ts";
import type { JsonObject } from "../../task/task.ts";
import { parseTrace } from "../../task/trace.ts";
import { answer } from "./answer.ts";
import { jsonBody } from "./body.ts";
import {
  ageSchema,
  figuresQuerySchema,
  figuresSchema,
  overviewQuerySchema,
  overviewSchema,
  prunedSchema,
  sizeSchema,
} from "./admin_schemas.ts";
import { json, jsonRequest, problems } from "./documented.ts";
import { Problem } from "./problem.ts";
import type { Service } from "./context.ts";

const MAX_BODY_BYTES = 4_096;

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

const prunableRoute = createRoute({
  method: "get",
  path: "/prunable",
  summary: "How much pruning would delete",
  request: { query: ageSchema },
  responses: { 200: json(prunedSchema, "How much"), ...problems(400) },
});

const pruneRoute = createRoute({
  method: "post",
  path: "/prune",
  summary: "Delete tasks that ended long ago, with their history",
  request: { body: jsonRequest(ageSchema) },
  responses: {
    200: json(prunedSchema, "How much was deleted"),
    ...problems(400, 409, 413, 415, 422),
  },
});

const checkpointRoute = createRoute({
  method: "post",
  path: "/checkpoint",
  summary: "Write all that is committed into the database file, and measure it",
  responses: { 200: json(sizeSchema, "Its size"), ...problems(400) },
});

/** Adds the routes. */
export function addHistoryRoutes(api: OpenAPIHono, service: Service): void {
  const { store, clock, reads } = service;
  const { history } = store;
  api.use(pruneRoute.getRoutingPath(), jsonBody(MAX_BODY_BYTES));
  api.use(
    checkpointRoute.getRoutingPath(),
    jsonBody(MAX_BODY_BYTES, { isOptional: true }),
  );

  api.openapi(figuresRoute, async (c) => {
    const query = c.req.valid("query");
    const { start, bucket_seconds, buckets, reasons } = query;
    const stats = await reads.get(c.req.url, () =>
      history.stats({
        start: new Date(start),
        bucketMs: bucket_seconds * 1_000,
        buckets,
        reasons,
      }));
    return answer(figuresToJson(stats));
  });

  api.openapi(overviewRoute, async (c) => {
    const { limit, recent_seconds } = c.req.valid("query");
    const overview = await reads.get(c.req.url, () =>
      history.overview({
        now: clock.now(),
        limit,
        recentMs: recent_seconds * 1_000,
      }));
    return answer(overviewToJson(overview));
  });

  api.openapi(prunableRoute, async (c) => {
    const { before } = c.req.valid("query");
    return answer({ ...await history.countPrunable(new Date(before)) });
  });

  api.openapi(pruneRoute, async (c) => {
    const { before } = c.req.valid("json");
    try {
      const pruned = await history.prune(new Date(before));
      store.feed.announceChange();
      return answer({ ...pruned });
    } catch (error) {
      // Another table may refer to a task, which no waiting ends.
      if (!(error instanceof DatabaseError)) throw error;
      if (error instanceof DatabaseBusyError) throw error;
      throw new Problem(409, error.message);
    }
  });

  api.openapi(checkpointRoute, async () => {
    const { bytes, freeBytes } = await history.checkpoint();
    return answer({ bytes, free_bytes: freeBytes });
  });
}

function figuresToJson(
  { counts, buckets, times, failures }: Stats,
): JsonObject {
  return {
    tasks: counts.map((it) => ({ ...it })),
    buckets: buckets.map((it) => ({ ...it })),
    times: times.map(({ provider, wait, run }) => ({
      provider,
      wait_ms: wait && { ...wait },
      run_ms: run && { ...run },
    })),
    failures: failures.map(({ reason, count, exampleId }) => ({
      reason,
      count,
      example_id: exampleId,
    })),
  };
}

function overviewToJson(overview: Overview): JsonObject {
  return {
    states: { ...overview.counts },
    running: overview.running.map(shownToJson),
    running_count: overview.runningCount,
    ended: overview.ended.map(shownToJson),
    ended_by_second: [...overview.endedBySecond].map(([second, count]) => ({
      second,
      count,
    })),
  };
}

function shownToJson(task: ShownTask): JsonObject {
  return {
    id: task.id,
    provider: task.provider,
    instruction: task.instruction,
    state: task.state,
    trace: parseTrace(task.traceText) ?? task.traceText,
    started_at: task.startedAt?.toISOString() ?? null,
    lease_expires_at: task.leaseExpiresAt?.toISOString() ?? null,
    updated_at: task.updatedAt.toISOString(),
  };
}
