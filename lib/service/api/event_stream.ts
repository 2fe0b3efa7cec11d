/**
 * One client's stream of server-sent events.
 *
 * @module
 */

import type { Clock } from "../../base/clock.ts";
import { messageOf } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import type { JsonObject } from "../../task/task.ts";
import { stringifyJson } from "../../task/trace.ts";
import type { EventHub } from "./event_hub.ts";
import { taskEventToJson } from "./task_json.ts";

/** What proxies and clients must hear something within. */
const HEARTBEAT_MS = 15_000;
/** A client that does not take what it is sent for so long is let go. */
const SLOW_MS = 30_000;
/** What may wait for a client. */
const BUFFER_BYTES = 64 * 1024;
/** What a browser waits before it comes back. */
const RECONNECT_MS = 2_000;

/** Options for {@linkcode openEventStream}. */
export interface EventStreamOptions {
  readonly hub: EventHub;
  readonly clock: Clock;
  readonly log: Log;
  /** Ends the stream. */
  readonly stop: AbortSignal;
  /** Begin with the event after this one. Default: with what comes next. */
  readonly after?: number;
  readonly taskId?: string;
  readonly maxLag?: number;
}

/**
 * Opens a stream.
 *
 * @throws {DatabaseError} where the events can't be read.
 */
export async function openEventStream(
  options: EventStreamOptions,
): Promise<ReadableStream<Uint8Array>> {
  const { hub, stop, log } = options;
  const sink = new Sink();
  const watch = await hub.watch(() => sink.wake());
  const end = () => sink.close();
  stop.addEventListener("abort", end);
  if (stop.aborted) end();
  // Its end, and not an error: a client that comes back misses nothing, and
  // Deno would write the error to standard error.
  send(sink, options).catch((error) => {
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
  { hub, clock, after, taskId, maxLag = Infinity }: EventStreamOptions,
): Promise<void> {
  let place = Math.min(after ?? hub.last, hub.last);
  let slowAt: number | undefined;
  sink.write(
    `retry: ${RECONNECT_MS}\n` +
      textOf("hello", place, { last_event_id: hub.last }),
  );
  while (!sink.isClosed) {
    if (sink.isFull) {
      slowAt ??= clock.monotonic() + SLOW_MS;
      await sink.woken(clock, slowAt - clock.monotonic());
      if (clock.monotonic() < slowAt) continue;
      throw new Error(`The client took nothing for ${SLOW_MS / 1_000} s`);
    }
    slowAt = undefined;
    if (hub.last - place > maxLag) {
      const gap = { after: place, up_to: hub.last };
      place = hub.last;
      sink.write(textOf("gap", place, gap));
    }
    if (place < hub.last) {
      const { events, reached } = await hub.after(place, taskId);
      place = reached;
      const texts = events.map((event) =>
        textOf("task", event.id, taskEventToJson(event))
      );
      sink.write(texts.join(""));
    } else if (!await sink.woken(clock, HEARTBEAT_MS)) {
      sink.write(": still here\n\n");
    }
  }
}

function textOf(type: string, id: number, data: JsonObject): string {
  return `event: ${type}\nid: ${id}\ndata: ${stringifyJson(data)}\n\n`;
}

/** The writing end of a stream. */
class Sink {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #encoder = new TextEncoder();
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #wake = new AbortController();
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
    this.#wake.abort();
  }

  /**
   * Waits until there is room, or something new, or the end. Not promises that
   * race: those that lose stay, and a stream may stay open for months.
   *
   * @returns false where nothing of that came within the time.
   */
  async woken(clock: Clock, ms: number): Promise<boolean> {
    await clock.sleep(ms, this.#wake.signal);
    const isWoken = this.#wake.signal.aborted;
    if (isWoken) this.#wake = new AbortController();
    return isWoken;
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
