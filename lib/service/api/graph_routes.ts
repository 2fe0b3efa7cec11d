/**
 * Which task waits for which.
 *
 * @module
 */

import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import {
  dependentsSchema,
  graphQuerySchema,
  graphSchema,
  graphToJson,
} from "../graph_json.ts";
import { setSchema } from "./action_schemas.ts";
import { jsonResponse } from "./responses.ts";
import { json, postRoute, problems, type Service } from "./routing.ts";
import { found } from "./task_routes.ts";
import { idParamSchema } from "./task_schemas.ts";

const graphRoute = createRoute({
  method: "get",
  path: "/tasks/{id}/graph",
  summary: "What a task waits for and what waits for it, the nearest first",
  request: { params: idParamSchema, query: graphQuerySchema },
  responses: { 200: json(graphSchema, "The graph"), ...problems(400, 404) },
});

const dependentsRoute = postRoute("/tasks/dependents", {
  summary: "The tasks that failed, or were skipped, because of others",
  body: setSchema,
  reply: dependentsSchema,
});

/** Adds the routes. */
export function addGraphRoutes(api: OpenAPIHono, service: Service): void {
  const { store: { admin }, reads } = service;

  api.openapi(graphRoute, async (c) => {
    const { id } = c.req.valid("param");
    const { limit } = c.req.valid("query");
    const graph = await reads.get(c.req.url, () => admin.graph(id, { limit }));
    if (graph.nodes.length === 0) await found(service, id);
    return jsonResponse(graphToJson(graph));
  });

  api.openapi(dependentsRoute, async (c) => {
    const { ids } = c.req.valid("json");
    return jsonResponse({ ids: await admin.dependents(ids) });
  });
}
