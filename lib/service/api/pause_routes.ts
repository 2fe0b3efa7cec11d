/**
 * What is paused, and pausing more.
 *
 * @module
 */

import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { OTHERS, type PauseTarget } from "../../store/contract.ts";
import {
  newPauseSchema,
  pausesSchema,
  pauseToJson,
  resumedSchema,
  resumeSchema,
} from "../pause_json.ts";
import { EXACT } from "./counts.ts";
import { jsonResponse } from "./responses.ts";
import { json, postRoute, problems, type Service } from "./routing.ts";

const pausesRoute = createRoute({
  method: "get",
  path: "/pauses",
  summary: "What is paused, and how many tasks wait because of it",
  responses: { 200: json(pausesSchema, "The pauses"), ...problems() },
});

const pauseRoute = postRoute("/pauses", {
  summary: "Have the tasks of a provider or a batch wait, or all",
  body: newPauseSchema,
  reply: pausesSchema,
});

const resumeRoute = postRoute("/pauses/resume", {
  summary: "End all pauses of a provider, a batch, or of everything",
  body: resumeSchema,
  reply: resumedSchema,
});

/** Adds the routes. */
export function addPauseRoutes(
  api: OpenAPIHono,
  { store: { admin }, reads }: Service,
): void {
  api.openapi(pausesRoute, async () => {
    const pauses = await reads.get("pauses", () => admin.pauses(), EXACT);
    return jsonResponse({ pauses: pauses.map(pauseToJson) });
  });

  api.openapi(pauseRoute, async (c) => {
    const { reason, seconds, ...target } = c.req.valid("json");
    const waitMs = seconds === null ? null : seconds * 1_000;
    await admin.pause(targetIn(target), { kind: "person", reason, waitMs });
    const pauses = await admin.pauses();
    return jsonResponse({ pauses: pauses.map(pauseToJson) });
  });

  api.openapi(resumeRoute, async (c) => {
    const target = targetIn(c.req.valid("json"));
    return jsonResponse({ ended: await admin.resume(target) });
  });
}

function targetIn(
  { provider = OTHERS, batch }: {
    readonly provider?: string | undefined;
    readonly batch?: string | undefined;
  },
): PauseTarget {
  return batch === undefined ? { provider } : { batch };
}
