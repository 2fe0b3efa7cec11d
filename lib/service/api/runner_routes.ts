/**
 * Who runs tasks, and telling them to drain.
 *
 * @module
 */

import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import {
  drainedSchema,
  runnerNamesSchema,
  runnersSchema,
  runnerToJson,
} from "../runner_json.ts";
import { EXACT } from "./counts.ts";
import { jsonResponse } from "./responses.ts";
import { json, postRoute, problems, type Service } from "./routing.ts";

const runnersRoute = createRoute({
  method: "get",
  path: "/runners",
  summary: "The runners that are there, and what they have in hand",
  responses: { 200: json(runnersSchema, "The runners"), ...problems() },
});

const drainRoute = postRoute("/runners/drain", {
  summary: "Have runners claim no more, finish what is in hand, and end",
  body: runnerNamesSchema,
  reply: drainedSchema,
});

/** Adds the routes. */
export function addRunnerRoutes(
  api: OpenAPIHono,
  { store: { admin }, reads }: Service,
): void {
  api.openapi(runnersRoute, async () => {
    const runners = await reads.get("runners", () => admin.runners(), EXACT);
    return jsonResponse({ runners: runners.map(runnerToJson) });
  });

  api.openapi(drainRoute, async (c) => {
    const { names } = c.req.valid("json");
    return jsonResponse({ results: await admin.drain(names) });
  });
}
