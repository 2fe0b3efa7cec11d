/**
 * Stepping in: cancelling.
 *
 * @module
 */

import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import type { CancelResult } from "../store.ts";
import { answer } from "./answer.ts";
import { jsonBody } from "./body.ts";
import { json, problems } from "./documented.ts";
import { Problem } from "./problem.ts";
import { changeSchema, idParamSchema } from "./schemas.ts";
import type { Service } from "./service.ts";

const MAX_BODY_BYTES = 1024 ** 2;

const cancelRoute = createRoute({
  method: "post",
  path: "/tasks/{id}/cancel",
  summary: "Cancel a task: at once, or within seconds where it is running",
  request: { params: idParamSchema },
  responses: {
    200: json(changeSchema, "Cancelled"),
    202: json(changeSchema, "Running; its runner stops it within seconds"),
    ...problems(400, 404, 409),
  },
});

/** Adds the routes. */
export function addActionRoutes(api: OpenAPIHono, service: Service): void {
  const { store, clock } = service;
  api.use(
    cancelRoute.getRoutingPath(),
    jsonBody(MAX_BODY_BYTES, { isOptional: true }),
  );

  api.openapi(cancelRoute, async (c) => {
    const { id } = c.req.valid("param");
    const result = await store.cancel(id, clock.now());
    store.feed.announceChange();
    assertDone(id, result);
    return answer({ id, result }, {
      status: result === "requested" ? 202 : 200,
    });
  });
}

function assertDone(id: string, result: CancelResult): void {
  if (result === "missing") throw new Problem(404, `There is no task ${id}.`);
  if (result === "ended") throw new Problem(409, `Task ${id} has ended.`);
}
