/**
 * Server-sent events. By hand, and not by Hono: what waits for a slow client is
 * bounded, and so is how long it may stay slow.
 *
 * @module
 */

import type { Clock } from "../../base/clock.ts";
import { messageOf } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { Wake } from "../../base/wake.ts";
import type { JsonObject } from "../../task/task.ts";
import { stringifyJson } from "../../task/trace.ts";

/** What proxies and clients must hear something within. */
export const HEARTBEAT_MS = 15_000;
/** Says nothing, and is heard. */
export const HEARTBEAT = ": still here\n\n";
/** A client that does not take what it is sent for so long is let go. */
const SLOW_MS = 30_000;
/** What may wait for a client. */
const BUFFER_BYTES = 64 * 1024;
/** What a browser waits before it comes back. */
const RECONNECT_MS = 2_000;
/** What a stream begins with. */
export const RECONNECT = `retry: ${RECONNECT_MS}\n`;

/** An event of the stream; the client brings `place` back when it comes again. */
export function eventText(
  type: string,
  place: string,
  data: JsonObject,
): string {
  return `event: ${type}\nid: ${place}\ndata: ${stringifyJson(data)}\n\n`;
}

/** Options for {@linkcode streamResponse}. */
export interface StreamOptions {
  /** Ends the stream. */
  readonly stop: AbortSignal;
  readonly log: Log;
}

/** The response with what `send` writes; it ends when that does. */
export function streamResponse(
  send: (sink: Sink) => Promise<void>,
  { stop, log }: StreamOptions,
): Response {
  const sink = new Sink();
  const end = () => sink.close();
  stop.addEventListener("abort", end);
  if (stop.aborted) end();
  // Its end, and not an error: a client that comes back misses nothing, and
  // Deno would write the error to standard error.
  send(sink).catch((error) => {
    log.debug(`A stream was ended: ${messageOf(error)}`, {
      event: "stream_ended",
      error: messageOf(error),
    });
  }).finally(() => {
    stop.removeEventListener("abort", end);
    sink.close();
  });
  return new Response(sink.stream, {
    headers: {
      "Content-Type": "text/event-stream",
      // Proxies must pass on each event as it comes.
      "X-Accel-Buffering": "no",
    },
  });
}

/** The writing end of a stream. */
export class Sink {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #encoder = new TextEncoder();
  readonly #wake = new Wake();
  readonly #ended = new AbortController();
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;

  constructor() {
    this.stream = new ReadableStream<Uint8Array>({
      start: (controller) => void (this.#controller = controller),
      pull: () => this.wake(),
      cancel: () => this.#end(),
    }, new ByteLengthQueuingStrategy({ highWaterMark: BUFFER_BYTES }));
  }

  /** Aborts when the stream has ended, by whomever. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** The stream has ended. */
  get isClosed(): boolean {
    return this.#ended.signal.aborted;
  }

  write(text: string): void {
    if (text !== "" && !this.isClosed) {
      this.#controller?.enqueue(this.#encoder.encode(text));
    }
  }

  /**
   * Waits until the client has taken so much that it may be sent more.
   *
   * @throws {Error} where it takes nothing for half a minute.
   */
  async room(clock: Clock): Promise<void> {
    const slowAt = clock.monotonic() + SLOW_MS;
    while (!this.isClosed && (this.#controller?.desiredSize ?? 0) <= 0) {
      await this.woken(clock, slowAt - clock.monotonic());
      if (clock.monotonic() < slowAt) continue;
      throw new Error(`The client took nothing for ${SLOW_MS / 1_000} s`);
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
    if (this.isClosed) return;
    this.#controller?.close();
    this.#end();
  }

  #end(): void {
    this.#ended.abort();
    this.wake();
  }
}
