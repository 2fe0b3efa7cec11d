/**
 * Which providers are paused, and pausing them.
 *
 * @module
 */

import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { pauseToJson } from "../pause_json.ts";
import { EXACT } from "./counts.ts";
import {
  newPauseSchema,
  pausesSchema,
  resumedSchema,
  resumeSchema,
} from "./pause_schemas.ts";
import { jsonResponse } from "./responses.ts";
import {
  json,
  jsonBody,
  jsonRequest,
  problems,
  type Service,
} from "./routing.ts";

const MAX_BODY_BYTES = 64 * 1024;

const pausesRoute = createRoute({
  method: "get",
  path: "/pauses",
  summary: "The providers that are paused, and how many tasks wait for them",
  responses: { 200: json(pausesSchema, "The pauses"), ...problems() },
});

const pauseRoute = createRoute({
  method: "post",
  path: "/pauses",
  summary: "Have the tasks of a provider wait",
  request: { body: jsonRequest(newPauseSchema) },
  responses: {
    200: json(pausesSchema, "All pauses"),
    ...problems(400, 413, 415, 422),
  },
});

const resumeRoute = createRoute({
  method: "post",
  path: "/pauses/resume",
  summary: "End all pauses of a provider",
  request: { body: jsonRequest(resumeSchema) },
  responses: {
    200: json(resumedSchema, "How many there were"),
    ...problems(400, 413, 415, 422),
  },
});

/** Adds the routes. */
export function addPauseRoutes(
  api: OpenAPIHono,
  { store: { admin }, reads }: Service,
): void {
  api.use(pauseRoute.getRoutingPath(), jsonBody(MAX_BODY_BYTES));
  api.use(resumeRoute.getRoutingPath(), jsonBody(MAX_BODY_BYTES));

  api.openapi(pausesRoute, async () => {
    const pauses = await reads.get("pauses", () => admin.pauses(), EXACT);
    return jsonResponse({ pauses: pauses.map(pauseToJson) });
  });

  api.openapi(pauseRoute, async (c) => {
    const { provider, reason, seconds } = c.req.valid("json");
    const waitMs = seconds === null ? null : seconds * 1_000;
    await admin.pause(provider, { kind: "person", reason, waitMs });
    const pauses = await admin.pauses();
    return jsonResponse({ pauses: pauses.map(pauseToJson) });
  });

  api.openapi(resumeRoute, async (c) => {
    const { provider } = c.req.valid("json");
    return jsonResponse({ ended: await admin.resume(provider) });
  });
}
