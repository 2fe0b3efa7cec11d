/**
 * Servers that tasks are sent to, and a processor that sends them.
 *
 * @module
 */

import { type Clock, systemClock } from "../../../lib/base/clock.ts";
import type {
  Processor,
  ProcessorContext,
} from "../../../lib/processors/processor.ts";
import {
  createHttpProcessor,
  type HttpParts,
} from "../../../lib/processors/http/http.ts";
import { httpConfig } from "../../../lib/processors/http/config.ts";
import type { Outcome } from "../../../lib/task/task.ts";
import { sampleTask } from "../../support/sample_task.ts";

/** The task that is sent. */
export const TASK = sampleTask({
  id: "t1",
  userId: "u1",
  provider: "api",
  targetType: "pr",
  targetRef: "octo/app#12",
  instruction: "Répare ça\n🙂",
  attempt: 2,
});

/** A context that does nothing with what it is told. */
export function contextWith(
  given: Partial<ProcessorContext> = {},
): ProcessorContext {
  return {
    signal: new AbortController().signal,
    idempotencyKey: "t1:2",
    trace: {},
    answers: [],
    results: [],
    progress: () => {},
    note: () => {},
    output: () => {},
    ...given,
  };
}

/** Makes a processor for a URL. */
export function processorFor(
  url: string,
  fields: Record<string, unknown> = {},
  parts: Partial<HttpParts> = {},
): Processor {
  const config = httpConfig.parse({ url, allowPrivate: true, ...fields });
  return createHttpProcessor(config, {
    clock: systemClock,
    variable: () => undefined,
    ...parts,
  });
}

/** Sends the task to a URL and returns what came of it. */
export async function send(
  url: string,
  { fields, parts, context }: {
    readonly fields?: Record<string, unknown>;
    readonly parts?: Partial<HttpParts>;
    readonly context?: Partial<ProcessorContext>;
  } = {},
): Promise<Outcome> {
  return await processorFor(url, fields, parts)
    .process(TASK, contextWith(context));
}

/** A failed outcome, without what is undefined. */
export function failed(
  error: string,
  { retryable, retryAfterMs }: {
    readonly retryable: boolean;
    readonly retryAfterMs?: number;
  },
): Outcome {
  return retryAfterMs === undefined
    ? { kind: "failed", error, retryable }
    : { kind: "failed", error, retryable, retryAfterMs };
}

/** A clock on which waits take a hundredth of their time, and are noted. */
export class HastyClock implements Clock {
  /** Waits so far, in milliseconds. */
  readonly waits: number[] = [];
  readonly now = () => systemClock.now();
  readonly monotonic = () => systemClock.monotonic();

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.waits.push(ms);
    return systemClock.sleep(ms / 100, signal);
  }
}

/** What a server was sent. */
export interface Received {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** An HTTP server on this machine that notes what it is sent. */
export class Service implements AsyncDisposable {
  readonly received: Received[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #isTls: boolean;

  constructor(
    answer: (
      received: Received,
      index: number,
    ) => Response | Promise<Response>,
    tls?: Deno.TlsCertifiedKeyPem,
  ) {
    this.#isTls = tls !== undefined;
    const options = { hostname: "127.0.0.1", port: 0, onListen: () => {} };
    const listen = async (request: Request) => {
      const { pathname, search } = new URL(request.url);
      const received = {
        method: request.method,
        path: pathname + search,
        headers: Object.fromEntries(request.headers),
        body: await request.text(),
      };
      return await answer(received, this.received.push(received) - 1);
    };
    this.#server = tls
      ? Deno.serve({ ...options, ...tls }, listen)
      : Deno.serve(options, listen);
  }

  /** Its URL under this name, without a slash at the end. */
  url(host = "127.0.0.1"): string {
    return `http${this.#isTls ? "s" : ""}://${host}:${this.#server.addr.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

/** A server that writes what it wants, when it has read the first bytes. */
export class RawServer implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #talks: Promise<void>[] = [];
  readonly #accepting: Promise<void>;

  constructor(talk: (say: Say) => Promise<void>) {
    this.#accepting = this.#accept(talk);
  }

  get url(): string {
    return `http://127.0.0.1:${this.#listener.addr.port}/`;
  }

  /** How many have connected. */
  get connections(): number {
    return this.#talks.length;
  }

  /** Waits until all who connected have closed their side. */
  async closedByAll(): Promise<void> {
    await Promise.all(this.#talks);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    await this.closedByAll();
  }

  async #accept(talk: (say: Say) => Promise<void>): Promise<void> {
    for await (const connection of this.#listener) {
      this.#talks.push(converse(connection, talk));
    }
  }
}

/** Writes; `undefined` closes the connection. False when nobody listens. */
export type Say = (what: string | Uint8Array | undefined) => Promise<boolean>;

async function converse(
  connection: Deno.TcpConn,
  talk: (say: Say) => Promise<void>,
): Promise<void> {
  const buffer = new Uint8Array(65_536);
  let isClosed = false;
  const close = () => {
    if (!isClosed) connection.close();
    isClosed = true;
  };
  const say: Say = async (what) => {
    if (what === undefined) close();
    if (what === undefined || isClosed) return false;
    try {
      let bytes = typeof what === "string"
        ? new TextEncoder().encode(what)
        : what;
      while (bytes.length > 0) {
        bytes = bytes.subarray(await connection.write(bytes));
      }
      return true;
    } catch {
      return false; // The other side has gone, which is what is tested.
    }
  };
  await readSome(connection, buffer);
  const talking = talk(say);
  while (!isClosed && await readSome(connection, buffer));
  close();
  await talking;
}

async function readSome(
  connection: Deno.TcpConn,
  buffer: Uint8Array,
): Promise<boolean> {
  try {
    return await connection.read(buffer) !== null;
  } catch {
    return false; // Reset by the other side, or closed by this one.
  }
}
