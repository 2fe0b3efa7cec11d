/**
 * The logs of runs: in pages, and as they grow.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Clock } from "../../base/clock.ts";
import { UsageError } from "../../base/errors.ts";
import type { Admin, LogPage, LogsOptions } from "../../store/contract.ts";
import { followLog } from "../follow_log.ts";
import {
  logPageSchema,
  logPageToJson,
  logQuerySchema,
  logStreamQuerySchema,
} from "../log_json.ts";
import { jsonResponse, Problem, wrongPlace } from "./responses.ts";
import { json, problems, type Service } from "./routing.ts";
import {
  eventText,
  HEARTBEAT,
  HEARTBEAT_MS,
  RECONNECT,
  type Sink,
  streamResponse,
} from "./server_sent.ts";
import { found } from "./task_routes.ts";
import { idParamSchema } from "./task_schemas.ts";

const logsRoute = createRoute({
  method: "get",
  path: "/tasks/{id}/logs",
  summary: "What an attempt of a task printed and said, oldest first",
  request: { params: idParamSchema, query: logQuerySchema },
  responses: { 200: json(logPageSchema, "A page"), ...problems(400, 404) },
});

const MAX_STREAMS = 32;

const streamRoute = createRoute({
  method: "get",
  path: "/tasks/{id}/logs/stream",
  summary: "The same as it grows",
  description: "Server-sent events: `page` with each page that has lines " +
    "(data: a LogPage), beginning with what is there; its id is the place " +
    "after it. Without an attempt, the next one follows the last. `end` says " +
    "that nothing more comes: the attempt is over, or, without one, the task " +
    "has ended.",
  request: {
    params: idParamSchema,
    query: logStreamQuerySchema,
    headers: z.object({
      "last-event-id": z.string().optional().openapi({
        description: "As `after`; browsers send it when they come back",
      }),
    }),
  },
  responses: {
    200: {
      description: "A stream that ends with the task",
      content: { "text/event-stream": { schema: z.string() } },
    },
    ...problems(400, 404),
  },
});

/** Adds the routes. `stop` ends all streams. */
export function addLogRoutes(
  api: OpenAPIHono,
  service: Service,
  stop: AbortSignal,
): void {
  const { store: { admin }, access, log } = service;
  let streams = 0;

  api.openapi(logsRoute, async (c) => {
    const { id } = c.req.valid("param");
    const page = await readPage(admin, {
      taskId: id,
      ...c.req.valid("query"),
    });
    if (page.attempts.length === 0) await found(service, id);
    return jsonResponse(logPageToJson(page));
  });

  api.openapi(streamRoute, async (c) => {
    if (streams >= MAX_STREAMS) {
      throw new Problem(503, `${MAX_STREAMS} logs are followed already.`, {
        headers: { "Retry-After": "5" },
      });
    }
    const { id } = c.req.valid("param");
    const { attempt, after } = c.req.valid("query");
    const place = c.req.valid("header")["last-event-id"] ?? after;
    // What is wrong with the request is said before the stream begins.
    await found(service, id);
    await readPage(admin, { taskId: id, attempt, after: place, limit: 1 });
    const ended = access.endOf(c.req.raw.headers);
    streams++;
    return streamResponse(async (sink) => {
      try {
        await send(sink, service, { taskId: id, attempt, after: place });
      } finally {
        streams--;
      }
    }, { stop: ended ? AbortSignal.any([stop, ended]) : stop, log });
  });
}

async function send(
  sink: Sink,
  { store: { admin, events }, clock }: Service,
  asked: Omit<LogsOptions, "limit">,
): Promise<void> {
  sink.write(`${RECONNECT}\n`);
  beat(sink, clock);
  const pages = followLog({
    ...asked,
    admin,
    onChange: (listener) => events.onChange(listener),
    clock,
    stop: sink.ended,
  });
  let place = asked.after ?? "";
  for await (const page of pages) {
    place = page.next ?? place;
    sink.write(eventText("page", place, logPageToJson(page)));
    await sink.room(clock);
  }
  sink.write(eventText("end", place, {}));
}

async function beat(sink: Sink, clock: Clock): Promise<void> {
  while (!sink.isClosed) {
    await clock.sleep(HEARTBEAT_MS, sink.ended);
    sink.write(HEARTBEAT);
  }
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
