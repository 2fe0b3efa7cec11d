/**
 * The events of tasks as server-sent events.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { problems } from "./documented.ts";
import { openEventStream } from "./event_stream.ts";
import { Problem } from "./problem.ts";
import { uuid } from "./schemas.ts";
import type { Service } from "./context.ts";

const MAX_STREAMS = 32;

const place = z.coerce.number().pipe(z.int().min(0));

const streamRoute = createRoute({
  method: "get",
  path: "/events",
  summary: "What happens to tasks, as it happens",
  description: "Server-sent events. First `hello` with the place where the " +
    "stream begins, then `task` for each event (data: a TaskEvent), its id " +
    "being the event's. Without a place to resume from, it begins with what " +
    "happens next. `gap` says that a client with max_lag missed events.",
  request: {
    query: z.object({
      after: place.optional().openapi({
        description: "Begin with the event after this one; 0: with the first",
      }),
      task: uuid.optional().openapi({ description: "Only of this task" }),
      max_lag: z.coerce.number().pipe(z.int().min(1)).optional().openapi({
        description: "Skip to the newest events where more than so many wait",
      }),
    }),
    headers: z.object({
      "last-event-id": place.optional().openapi({
        description: "As `after`; browsers send it when they come back",
      }),
    }),
  },
  responses: {
    200: {
      description: "A stream that does not end by itself",
      content: { "text/event-stream": { schema: z.string() } },
    },
    ...problems(400),
  },
});

/** Adds the route. `stop` ends all streams. */
export function addEventRoutes(
  api: OpenAPIHono,
  service: Service,
  stop: AbortSignal,
): void {
  const { hub, clock, log } = service;
  api.openapi(streamRoute, async (c) => {
    if (hub.watchers >= MAX_STREAMS) {
      throw new Problem(503, `${MAX_STREAMS} streams are open already.`, {
        headers: { "Retry-After": "5" },
      });
    }
    const { after, task, max_lag } = c.req.valid("query");
    const stream = await openEventStream({
      hub,
      clock,
      log,
      stop,
      // A browser that comes back knows better than the address that it has.
      after: c.req.valid("header")["last-event-id"] ?? after,
      taskId: task?.toLowerCase(),
      maxLag: max_lag,
    });
    return new Response(stream, {
      headers: {
        "Content-Type": "text/event-stream",
        // Proxies must pass on each event as it comes.
        "X-Accel-Buffering": "no",
      },
    });
  });
}
