/**
 * The events of tasks as server-sent events. By hand, and not by Hono: what waits
 * for a slow client is bounded, and so is how long it may stay slow.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Clock } from "../../base/clock.ts";
import { messageOf } from "../../base/errors.ts";
import { Wake } from "../../base/wake.ts";
import { eventToJson } from "../../task/json.ts";
import type { JsonObject } from "../../task/task.ts";
import { stringifyJson } from "../../task/trace.ts";
import { KEPT_EVENTS } from "./event_hub.ts";
import { Problem, wrongPlace } from "./responses.ts";
import { problems, type Service } from "./routing.ts";
import { uuid } from "./task_schemas.ts";

const MAX_STREAMS = 32;
/** What proxies and clients must hear something within. */
const HEARTBEAT_MS = 15_000;
/** A client that does not take what it is sent for so long is let go. */
const SLOW_MS = 30_000;
/** What may wait for a client. */
const BUFFER_BYTES = 64 * 1024;
/** What a browser waits before it comes back. */
const RECONNECT_MS = 2_000;
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
    const stream = await openStream(service, {
      stop: ended ? AbortSignal.any([stop, ended]) : stop,
      // A browser that comes back knows better than the address that it has.
      after: placeOf(last, "header.last-event-id") ??
        placeOf(after, "query.after"),
      taskId: task?.toLowerCase(),
      maxLag: max_lag && Math.min(max_lag, KEPT_EVENTS),
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
): Promise<ReadableStream<Uint8Array>> {
  const { hub, log } = service;
  const { stop } = options;
  const sink = new Sink();
  const watch = await hub.watch(() => sink.wake());
  const end = () => sink.close();
  stop.addEventListener("abort", end);
  if (stop.aborted) end();
  // Its end, and not an error: a client that comes back misses nothing, and
  // Deno would write the error to standard error.
  send(sink, service, options).catch((error) => {
    log.debug(`A stream was ended: ${messageOf(error)}`, {
      event: "stream_ended",
      error: messageOf(error),
    });
  }).finally(() => {
    stop.removeEventListener("abort", end);
    watch[Symbol.dispose]();
    sink.close();
  });
  return sink.stream;
}

async function send(
  sink: Sink,
  { hub, clock }: Service,
  { after, taskId, maxLag }: StreamOptions,
): Promise<void> {
  let place = after === undefined ? hub.last : await hub.known(after);
  let slowAt: number | undefined;
  sink.write(
    `retry: ${RECONNECT_MS}\n` +
      messageText("hello", place, { last_event_id: hub.last }),
  );
  while (!sink.isClosed) {
    if (sink.isFull) {
      slowAt ??= clock.monotonic() + SLOW_MS;
      await sink.woken(clock, slowAt - clock.monotonic());
      if (clock.monotonic() < slowAt) continue;
      throw new Error(`The client took nothing for ${SLOW_MS / 1_000} s`);
    }
    slowAt = undefined;
    if (place !== hub.last) {
      const batch = await hub.after(place, { taskId, maxLag });
      if (batch.isGap) {
        const gap = { after: place, up_to: batch.place };
        sink.write(messageText("gap", batch.place, gap));
      }
      const texts = batch.events.map((event) =>
        messageText("task", event.cursor, eventToJson(event))
      );
      sink.write(texts.join(""));
      const isMoved = place !== batch.place;
      place = batch.place;
      if (isMoved) continue;
    }
    if (!await sink.woken(clock, HEARTBEAT_MS)) sink.write(": still here\n\n");
  }
}

function messageText(type: string, place: string, data: JsonObject): string {
  return `event: ${type}\nid: ${place}\ndata: ${stringifyJson(data)}\n\n`;
}

/** The writing end of a stream. */
class Sink {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #encoder = new TextEncoder();
  readonly #wake = new Wake();
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #isClosed = false;

  constructor() {
    this.stream = new ReadableStream<Uint8Array>({
      start: (controller) => void (this.#controller = controller),
      pull: () => this.wake(),
      cancel: () => this.#end(),
    }, new ByteLengthQueuingStrategy({ highWaterMark: BUFFER_BYTES }));
  }

  /** The stream has ended, by whomever. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The client must take something before it is sent more. */
  get isFull(): boolean {
    return (this.#controller?.desiredSize ?? 0) <= 0;
  }

  write(text: string): void {
    if (text !== "" && !this.#isClosed) {
      this.#controller?.enqueue(this.#encoder.encode(text));
    }
  }

  /** Ends the wait. */
  wake(): void {
    this.#wake.wake();
  }

  /**
   * Waits until there is room, or something new, or the end.
   *
   * @returns false where nothing of that came within the time.
   */
  woken(clock: Clock, ms: number): Promise<boolean> {
    return this.#wake.wait(clock, ms);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#controller?.close();
    this.#end();
  }

  #end(): void {
    this.#isClosed = true;
    this.wake();
  }
}
