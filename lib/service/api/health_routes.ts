/**
 * What other programs ask: is it alive, is it ready, how does it do.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { messageOf } from "../../base/errors.ts";
import { readCounts } from "./counts.ts";
import { jsonResponse } from "./responses.ts";
import { json, problems, type Service } from "./routing.ts";

/** Whoever asks for readiness does not wait for long. */
const READY_MS = 5_000;

const healthRoute = createRoute({
  method: "get",
  path: "/health",
  summary: "Whether the process is alive",
  security: [],
  responses: {
    200: json(
      z.object({ status: z.literal("ok"), version: z.string() }),
      "It is",
    ),
    ...problems(),
  },
});

const readinessSchema = z.object({
  status: z.enum(["ready", "not ready"]),
  database: z.string().openapi({
    description: '"reachable", or what is wrong; without the token only ' +
      '"not reachable"',
  }),
  runner: z.string().openapi({
    description: '"claiming", "none" in this process, or what is wrong; ' +
      'without the token only "not claiming"',
  }),
}).openapi("Readiness");

const readyRoute = createRoute({
  method: "get",
  path: "/ready",
  summary: "Whether the database can be reached and tasks are claimed",
  security: [],
  responses: {
    200: json(readinessSchema, "Ready"),
    503: json(readinessSchema, "Not ready"),
    ...problems(),
  },
});

const metricsRoute = createRoute({
  method: "get",
  path: "/metrics",
  summary: "Metrics in the text form of Prometheus",
  responses: {
    200: {
      description: "The metrics",
      content: { "text/plain": { schema: z.string() } },
    },
    ...problems(),
  },
});

/** Adds the routes. */
export function addHealthRoutes(api: OpenAPIHono, service: Service): void {
  const { version, runnerProblem, metrics, access } = service;

  api.openapi(healthRoute, () => jsonResponse({ status: "ok", version }));

  api.openapi(readyRoute, async (c) => {
    const wrong = await databaseProblem(service);
    const notClaiming = runnerProblem?.();
    const isReady = wrong === undefined && notClaiming === undefined;
    const isKnown = await access.rightOf(c) !== undefined;
    // Strangers need not know paths and process ids.
    const shown = (problem: string, forStrangers: string) =>
      isKnown ? problem : forStrangers;
    return jsonResponse({
      status: isReady ? "ready" : "not ready",
      database: wrong === undefined
        ? "reachable"
        : shown(wrong, "not reachable"),
      runner: !runnerProblem
        ? "none"
        : notClaiming === undefined
        ? "claiming"
        : shown(notClaiming, "not claiming"),
    }, { status: isReady ? 200 : 503 });
  });

  api.openapi(metricsRoute, async (c) => {
    const text = await metrics.text();
    return c.text(text, 200, { "Content-Type": metrics.contentType });
  });
}

async function databaseProblem(service: Service): Promise<string | undefined> {
  const done = new AbortController();
  const tooLate = service.clock.sleep(READY_MS, done.signal)
    .then(() => `no answer within ${READY_MS / 1_000} s`);
  try {
    return await Promise.race([
      readCounts(service).then(() => undefined),
      tooLate,
    ]);
  } catch (error) {
    return messageOf(error);
  } finally {
    done.abort();
  }
}
