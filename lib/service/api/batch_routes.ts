/**
 * The batches that tasks are in, and how they do.
 *
 * @module
 */

import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import {
  batchesQuerySchema,
  batchesSchema,
  batchParamSchema,
  batchSchema,
  batchToJson,
} from "../batch_json.ts";
import { EXACT } from "./counts.ts";
import { jsonResponse, Problem } from "./responses.ts";
import { json, problems, type Service } from "./routing.ts";

const batchesRoute = createRoute({
  method: "get",
  path: "/batches",
  summary: "The batches that got a task last, and how many tasks have ended",
  request: { query: batchesQuerySchema },
  responses: { 200: json(batchesSchema, "The batches"), ...problems(400) },
});

const batchRoute = createRoute({
  method: "get",
  path: "/batches/{name}",
  summary: "A batch, and how many of its tasks have ended",
  request: { params: batchParamSchema },
  responses: { 200: json(batchSchema, "The batch"), ...problems(400, 404) },
});

/** Adds the routes. */
export function addBatchRoutes(
  api: OpenAPIHono,
  { store: { admin }, reads }: Service,
): void {
  api.openapi(batchesRoute, async (c) => {
    const options = c.req.valid("query");
    const batches = await reads.get(
      c.req.url,
      () => admin.batches(options),
      EXACT,
    );
    return jsonResponse({ batches: batches.map(batchToJson) });
  });

  api.openapi(batchRoute, async (c) => {
    const { name } = c.req.valid("param");
    const [batch] = await reads.get(
      c.req.url,
      () => admin.batches({ name, limit: 1 }),
      EXACT,
    );
    if (batch) return jsonResponse(batchToJson(batch));
    throw new Problem(404, `There is no batch ${name}.`, { reason: "missing" });
  });
}
