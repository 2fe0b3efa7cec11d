/**
 * Changing tasks that have not begun.
 *
 * @module
 */

import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { checkedEdit } from "../../task/new_task.ts";
import { changed } from "./action_routes.ts";
import { changeSchema } from "./action_schemas.ts";
import {
  json,
  jsonBody,
  jsonRequest,
  MAX_BODY_BYTES,
  problems,
  type Service,
} from "./routing.ts";
import { editSchema, idParamSchema } from "./task_schemas.ts";

const editRoute = createRoute({
  method: "patch",
  path: "/tasks/{id}",
  summary: "Change a task that has not begun",
  request: { params: idParamSchema, body: jsonRequest(editSchema) },
  middleware: jsonBody(MAX_BODY_BYTES),
  responses: {
    200: json(changeSchema, "It is changed"),
    ...problems(400, 404, 409, 413, 415, 422),
  },
});

/** Adds the route. */
export function addEditRoutes(
  api: OpenAPIHono,
  { store: { admin } }: Service,
): void {
  api.openapi(editRoute, async (c) => {
    const { id } = c.req.valid("param");
    const result = await admin.edit(id, checkedEdit(c.req.valid("json")));
    return changed(id, result);
  });
}
