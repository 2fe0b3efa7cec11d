/**
 * The logs of runs.
 *
 * @module
 */

import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { UsageError } from "../../base/errors.ts";
import type { Admin, LogPage, LogsOptions } from "../../store/contract.ts";
import { logPageToJson } from "../log_json.ts";
import { logPageSchema, logQuerySchema } from "./log_schemas.ts";
import { jsonResponse, wrongPlace } from "./responses.ts";
import { json, problems, type Service } from "./routing.ts";
import { found } from "./task_routes.ts";
import { idParamSchema } from "./task_schemas.ts";

const logsRoute = createRoute({
  method: "get",
  path: "/tasks/{id}/logs",
  summary: "What an attempt of a task printed and said, oldest first",
  request: { params: idParamSchema, query: logQuerySchema },
  responses: { 200: json(logPageSchema, "A page"), ...problems(400, 404) },
});

/** Adds the route. */
export function addLogRoutes(api: OpenAPIHono, service: Service): void {
  const { store: { admin } } = service;

  api.openapi(logsRoute, async (c) => {
    const { id } = c.req.valid("param");
    const page = await readPage(admin, {
      taskId: id,
      ...c.req.valid("query"),
    });
    if (page.attempts.length === 0) await found(service, id);
    return jsonResponse(logPageToJson(page));
  });
}

async function readPage(admin: Admin, options: LogsOptions): Promise<LogPage> {
  try {
    return await admin.logs(options);
  } catch (error) {
    // Its cursor is the only thing that may still be wrong with it.
    if (!(error instanceof UsageError)) throw error;
    throw wrongPlace("query.after");
  }
}
