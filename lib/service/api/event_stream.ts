/**
 * The events of tasks as server-sent events.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { eventToJson } from "../../task/json.ts";
import { KEPT_EVENTS } from "./event_hub.ts";
import { Problem, wrongPlace } from "./responses.ts";
import { problems, type Service } from "./routing.ts";
import {
  eventText,
  HEARTBEAT,
  HEARTBEAT_MS,
  RECONNECT,
  type Sink,
  streamResponse,
} from "./server_sent.ts";
import { uuid } from "./task_schemas.ts";

const MAX_STREAMS = 32;
/** Stands for the place before the first event, whatever the store calls it. */
const FIRST = "0";

const streamRoute = createRoute({
  method: "get",
  path: "/events",
  summary: "What happens to tasks, as it happens",
  description: "Server-sent events. First `hello` with the place where the " +
    "stream begins, then `task` for each event (data: a TaskEvent); the id of " +
    "each message is the place after it, a text to bring back as it is. " +
    "Without a place to resume from, it begins with what happens next. `gap` " +
    "says that a client with max_lag missed events.",
  request: {
    query: z.object({
      after: z.string().optional().openapi({
        description: "Begin after this place; 0: with the first event",
      }),
      task: uuid.optional().openapi({ description: "Only of this task" }),
      max_lag: z.coerce.number().pipe(z.int().min(1)).optional().openapi({
        description:
          "Skip to the newest events where more than so many wait; " +
          `more than ${KEPT_EVENTS} is ${KEPT_EVENTS}`,
      }),
    }),
    headers: z.object({
      "last-event-id": z.string().optional().openapi({
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
  const { hub, access, store: { events } } = service;

  function placeOf(text: string | undefined, path: string) {
    if (text === FIRST) return events.first;
    if (text === undefined || events.isCursor(text)) return text;
    throw wrongPlace(path);
  }

  api.openapi(streamRoute, async (c) => {
    if (hub.watchers >= MAX_STREAMS) {
      throw new Problem(503, `${MAX_STREAMS} streams are open already.`, {
        headers: { "Retry-After": "5" },
      });
    }
    const { after, task, max_lag } = c.req.valid("query");
    const last = c.req.valid("header")["last-event-id"];
    const ended = access.endOf(c.req.raw.headers);
    return await openStream(service, {
      stop: ended ? AbortSignal.any([stop, ended]) : stop,
      // A browser that comes back knows better than the address that it has.
      after: placeOf(last, "header.last-event-id") ??
        placeOf(after, "query.after"),
      taskId: task?.toLowerCase(),
      maxLag: max_lag && Math.min(max_lag, KEPT_EVENTS),
    });
  });
}

interface StreamOptions {
  /** Ends the stream. */
  readonly stop: AbortSignal;
  /** Begin with the event after this place. Default: with what comes next. */
  readonly after: string | undefined;
  readonly taskId: string | undefined;
  readonly maxLag: number | undefined;
}

async function openStream(
  service: Service,
  options: StreamOptions,
): Promise<Response> {
  const { hub, log } = service;
  let wake = () => {};
  const watch = await hub.watch(() => wake());
  return streamResponse(async (sink) => {
    using _ = watch;
    wake = () => sink.wake();
    await send(sink, service, options);
  }, { stop: options.stop, log });
}

async function send(
  sink: Sink,
  { hub, clock }: Service,
  { after, taskId, maxLag }: StreamOptions,
): Promise<void> {
  let place = after === undefined ? hub.last : await hub.known(after);
  sink.write(
    RECONNECT + eventText("hello", place, { last_event_id: hub.last }),
  );
  while (!sink.isClosed) {
    await sink.room(clock);
    if (place !== hub.last) {
      const batch = await hub.after(place, { taskId, maxLag });
      if (batch.isGap) {
        const gap = { after: place, up_to: batch.place };
        sink.write(eventText("gap", batch.place, gap));
      }
      const texts = batch.events.map((event) =>
        eventText("task", event.cursor, eventToJson(event))
      );
      sink.write(texts.join(""));
      const isMoved = place !== batch.place;
      place = batch.place;
      if (isMoved) continue;
    }
    if (!await sink.woken(clock, HEARTBEAT_MS)) sink.write(HEARTBEAT);
  }
}
