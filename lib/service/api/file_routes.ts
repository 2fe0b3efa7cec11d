/**
 * All tasks as a file, and deleting those that ended long ago.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { DatabaseBusyError, DatabaseError } from "../../base/errors.ts";
import type { ExportFormat } from "../../store/contract.ts";
import { filterOf } from "./filter.ts";
import { jsonResponse, Problem } from "./responses.ts";
import {
  json,
  jsonBody,
  jsonRequest,
  MAX_BODY_BYTES,
  problems,
  type Service,
} from "./routing.ts";
import {
  ageSchema,
  exportQuerySchema,
  prunableSchema,
  prunedSchema,
  REFUSED,
  ROWS_HEADER,
} from "./stats_schemas.ts";

const TYPES: Readonly<Record<ExportFormat, string>> = {
  parquet: "application/vnd.apache.parquet",
  csv: "text/csv",
  jsonl: "application/x-ndjson",
};

const exportRoute = createRoute({
  method: "get",
  path: "/export",
  summary: "Tasks or their history as Parquet, CSV or JSON Lines",
  request: { query: exportQuerySchema },
  responses: {
    200: {
      description: "The file",
      headers: z.object({
        [ROWS_HEADER]: z.string().openapi({ description: "How many rows" }),
      }),
      content: Object.fromEntries(
        Object.values(TYPES).map((type) => [type, { schema: z.string() }]),
      ),
    },
    ...problems(400),
  },
});

const prunableRoute = createRoute({
  method: "get",
  path: "/prunable",
  summary: "How much pruning would delete",
  request: { query: ageSchema },
  responses: { 200: json(prunableSchema, "How much"), ...problems(400) },
});

const pruneRoute = createRoute({
  method: "post",
  path: "/prune",
  summary: "Delete tasks that ended long ago, with their history",
  request: { body: jsonRequest(ageSchema) },
  middleware: jsonBody(MAX_BODY_BYTES),
  responses: {
    200: json(prunedSchema, "How much was deleted"),
    ...problems(400, 409, 413, 415, 422),
  },
});

/** Adds the routes. */
export function addFileRoutes(
  api: OpenAPIHono,
  { store: { admin }, prune }: Service,
): void {
  api.openapi(exportRoute, async (c) => {
    const query = c.req.valid("query");
    const { format, events } = query;
    const { rows, bytes, body } = await admin.export({
      ...filterOf(query),
      format,
      events: events === "true",
      forSpreadsheet: query.for_spreadsheet === "true",
    });
    return new Response(body, {
      headers: {
        "Content-Type": TYPES[format],
        "Content-Length": String(bytes),
        [ROWS_HEADER]: String(rows),
      },
    });
  });

  api.openapi(prunableRoute, async (c) => {
    const before = new Date(c.req.valid("query").before);
    return jsonResponse({ ...await admin.prunable(before) });
  });

  api.openapi(pruneRoute, async (c) => {
    const before = new Date(c.req.valid("json").before);
    try {
      const { size, ...count } = await prune(before);
      return jsonResponse({
        ...count,
        bytes_before: size?.before ?? null,
        bytes: size?.after ?? null,
        free_bytes: size?.free ?? null,
      });
    } catch (error) {
      // Another table may refer to a task, which no waiting ends.
      if (!(error instanceof DatabaseError)) throw error;
      if (error instanceof DatabaseBusyError) throw error;
      throw new Problem(409, error.message, { reason: REFUSED });
    }
  });
}
