/**
 * Sends one request on one connection, within bounds of size and time.
 *
 * @module
 */

import { type IncomingMessage, request as sendOn } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "../../base/clock.ts";
import { formatCount } from "../../base/figures.ts";
import { RunError } from "../task_runs.ts";
import {
  addressesOf,
  type AllowedAddresses,
  type Lookup,
} from "./addresses.ts";
import { connect } from "./connection.ts";
import { connectionProblem, hopeless, httpError } from "./error.ts";

/** A request to send. */
export interface HttpRequest {
  readonly url: URL;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

/** What a server answered. */
export interface HttpAnswer {
  readonly url: URL;
  readonly method: string;
  readonly status: number;
  /** The value of a header; undefined where there is none. */
  readonly header: (name: string) => string | undefined;
  /** The body as UTF-8; what is none is U+FFFD. */
  readonly text: string;
  /** The body is longer than may be read, and the text its beginning. */
  readonly isCut: boolean;
  /** Why the rest of the text, or all of it, could not be read. */
  readonly problem?: RunError;
}

/** Where and for how long requests may be sent. */
export interface RequestLimits {
  readonly allowed: AllowedAddresses;
  readonly lookup: Lookup;
  /** PEM of the certificates to trust. Default: those that Deno trusts. */
  readonly ca?: string;
  /** Name resolution and TLS included. */
  readonly connectTimeoutMs: number;
  /** From the first look at the host to the end of the answer. */
  readonly requestTimeoutMs: number;
  readonly maxResponseBytes: number;
  readonly clock: Clock;
}

/** How much is read of an answer that is no success. */
const MAX_ERROR_BYTES = 16_384;

/**
 * Sends a request and reads the answer. Follows no redirect. Whatever comes of
 * it, the connection is closed after it.
 *
 * @throws {RunError} where there is no answer, or the signal's reason.
 */
export async function sendRequest(
  request: HttpRequest,
  { signal, ...limits }: RequestLimits & { readonly signal: AbortSignal },
): Promise<HttpAnswer> {
  const { url } = request;
  const { clock, requestTimeoutMs } = limits;
  using limit = new TimeLimit(
    clock,
    requestTimeoutMs,
    `${url.host} did not answer within ${requestTimeoutMs / 1_000} s.`,
  );
  const stop = AbortSignal.any([signal, limit.signal]);
  const socket = await openConnection(url, { ...limits, signal: stop });
  const close = () => socket.destroy(stop.reason);
  stop.addEventListener("abort", close, { once: true });
  try {
    stop.throwIfAborted(); // It may have been while the connection was made.
    const response = await exchange(request, socket);
    return {
      url,
      method: request.method,
      status: response.statusCode ?? 0,
      header: (name) => [response.headers[name]].flat()[0],
      ...await readBody(response, {
        maxBytes: maxBytesOf(response, limits.maxResponseBytes),
        stop,
      }),
    };
  } catch (cause) {
    stop.throwIfAborted();
    if (cause instanceof RunError) throw cause;
    throw httpError(
      `No answer from ${url.host}: ${connectionProblem(cause)}.`,
      { cause },
    );
  } finally {
    stop.removeEventListener("abort", close);
    socket.destroy();
  }
}

/**
 * Connects to where a URL's host is.
 *
 * @throws {RunError} where it can't, or may not, or the signal's reason.
 */
export async function openConnection(
  url: URL,
  { signal, ...limits }:
    & Omit<RequestLimits, "requestTimeoutMs" | "maxResponseBytes">
    & { readonly signal: AbortSignal },
): Promise<Socket> {
  const { clock, connectTimeoutMs, ca } = limits;
  using limit = new TimeLimit(
    clock,
    connectTimeoutMs,
    `Cannot connect to ${url.host}: no connection within ` +
      `${connectTimeoutMs / 1_000} s.`,
  );
  const stop = AbortSignal.any([signal, limit.signal]);
  const addresses = await addressesOf(url, { ...limits, signal: stop });
  return await connect(url, { addresses, ca, signal: stop });
}

/** Resolves when the headers of the answer are there. */
function exchange(
  { url, method, headers, body }: HttpRequest,
  socket: Socket,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const outgoing = sendOn({
      createConnection: () => socket,
      method,
      path: url.pathname + url.search,
      headers: {
        ...headers,
        Host: url.host,
        Connection: "close",
        "Accept-Encoding": "identity",
        ...body && { "Content-Length": String(body.length) },
      },
    });
    outgoing.on("response", resolve);
    outgoing.on("upgrade", () => {
      reject(new Error("the server wants another protocol"));
    });
    // Stays, since what comes after an answer can be wrong too.
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

function maxBytesOf(
  { statusCode: status = 0 }: IncomingMessage,
  maxResponseBytes: number,
): number {
  if (status >= 300 && status < 400) return 0;
  return status < 300 ? maxResponseBytes : MAX_ERROR_BYTES;
}

type Body = Pick<HttpAnswer, "text" | "isCut" | "problem">;

async function readBody(
  response: IncomingMessage,
  { maxBytes, stop }: { maxBytes: number; stop: AbortSignal },
): Promise<Body> {
  if (maxBytes === 0) return { text: "", isCut: false };
  const { "content-encoding": encoding = "identity" } = response.headers;
  if (encoding !== "identity") {
    // A few bytes of it can stand for gigabytes.
    const problem = hopeless(`The answer is encoded as ${encoding}, unasked.`);
    return { text: "", isCut: false, problem };
  }
  const decoder = new TextDecoder();
  let text = "";
  let length = 0;
  try {
    for await (const chunk of response as AsyncIterable<Uint8Array>) {
      const room = maxBytes - length;
      length += chunk.length;
      text += decoder.decode(chunk.subarray(0, room), { stream: true });
      if (length > maxBytes) return { text, isCut: true };
    }
  } catch (cause) {
    // A time limit is a problem of the answer, any other stop is one of ours.
    if (!(stop.reason instanceof RunError)) stop.throwIfAborted();
    const problem = stop.reason ?? httpError(
      `The answer broke off after ${formatCount(length)} bytes: ` +
        `${connectionProblem(cause)}.`,
      { cause },
    );
    return { text, isCut: false, problem };
  }
  return { text: text + decoder.decode(), isCut: false };
}

/** Aborts its signal with an error after a time. Dispose of it to stop that. */
class TimeLimit implements Disposable {
  readonly #ended = new AbortController();
  readonly #passed = new AbortController();

  constructor(clock: Clock, ms: number, message: string) {
    clock.sleep(ms, this.#ended.signal).then(() => {
      if (!this.#ended.signal.aborted) this.#passed.abort(httpError(message));
    });
  }

  get signal(): AbortSignal {
    return this.#passed.signal;
  }

  [Symbol.dispose](): void {
    this.#ended.abort();
  }
}
