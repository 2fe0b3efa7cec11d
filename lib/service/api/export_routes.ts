/**
 * All tasks, or their history, as a file.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { messageOf } from "../../base/errors.ts";
import type { ExportFormat } from "../../store/history.ts";
import { exportQuerySchema, ROWS_HEADER } from "./admin_schemas.ts";
import { problems } from "./documented.ts";
import type { Service } from "./context.ts";

const TYPES: Readonly<Record<ExportFormat, string>> = {
  parquet: "application/vnd.apache.parquet",
  csv: "text/csv",
  jsonl: "application/x-ndjson",
};

const content = Object.fromEntries(
  Object.values(TYPES).map((type) => [type, { schema: z.string() }]),
);

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
      content,
    },
    ...problems(400),
  },
});

/** Adds the route. */
export function addExportRoutes(
  api: OpenAPIHono,
  { store, log }: Service,
): void {
  api.openapi(exportRoute, async (c) => {
    const { format, events, state, provider, since } = c.req.valid("query");
    const path = Deno.makeTempFileSync({ prefix: "agent-runner-export-" });
    try {
      const rows = await store.history.export({
        path,
        format,
        events: events === "true",
        states: state,
        provider,
        since: since === undefined ? undefined : new Date(since),
      });
      const bytes = Deno.statSync(path).size;
      return new Response(readOnce(path, onProblem), {
        headers: {
          "Content-Type": TYPES[format],
          "Content-Length": String(bytes),
          [ROWS_HEADER]: String(rows),
        },
      });
    } catch (error) {
      remove(path, onProblem);
      throw error;
    }
  });

  function onProblem(error: unknown): void {
    log.warning(`Cannot delete a temporary file: ${messageOf(error)}`, {
      event: "file_left",
      error: messageOf(error),
    });
  }
}

type OnProblem = (error: unknown) => void;

/** The content of a file that is gone after it. */
function readOnce(
  path: string,
  onProblem: OnProblem,
): ReadableStream<Uint8Array> {
  const file = Deno.openSync(path);
  // Its name at once, where a system allows that; else when it was read.
  const isLater = Deno.build.os === "windows";
  if (!isLater) remove(path, onProblem);
  const end = () => isLater && remove(path, onProblem);
  return file.readable.pipeThrough(
    new TransformStream({ flush: () => void end(), cancel: () => void end() }),
  );
}

function remove(path: string, onProblem: OnProblem): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) onProblem(error);
  }
}
