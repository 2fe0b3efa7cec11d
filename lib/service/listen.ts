/**
 * Listening, within bounds, and saying clearly where that can't be done.
 * Node's server and not Deno's, which bounds neither connections nor the time
 * that a client takes to send its request.
 *
 * @module
 */

import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { messageOf, UsageError } from "../base/errors.ts";
import { formatAddress, type ListenAddress } from "../config/listen_address.ts";
import type { Caller } from "./api/access.ts";
import { Problem, secured } from "./api/responses.ts";
import { listenAtPath } from "./socket_file.ts";
import { requestOf, sendResponse } from "./node_http.ts";

/** What clients may take of the server. */
export interface ConnectionLimits {
  readonly maxConnections: number;
  /** Until the headers of a request are there. */
  readonly headersMs: number;
  /** Until its body is there. */
  readonly requestMs: number;
  /** Between two requests. */
  readonly idleMs: number;
  /** How often the times are looked at. */
  readonly checkMs: number;
}

const LIMITS: ConnectionLimits = {
  maxConnections: 512,
  headersMs: 10_000,
  requestMs: 30_000,
  idleMs: 60_000,
  checkMs: 2_000,
};

/** How long a client that still sends what nobody wants has for its response. */
const LINGER_MS = 500;

/** Options for {@linkcode listen}. */
export interface ListenOptions {
  readonly address: ListenAddress;
  readonly respond: (
    request: Request,
    caller: Caller,
  ) => Response | Promise<Response>;
  /** Called where a connection can't be accepted. */
  readonly onError?: (error: unknown) => void;
  readonly limits?: ConnectionLimits;
}

/** A server that listens. */
export class Listener {
  readonly #server: Server;
  /** Not by `closeIdleConnections()`, which misses some of them in Deno. */
  readonly #idle = new Set<Socket>();
  #socketFile: Disposable | undefined;
  #isClosing = false;

  constructor(
    { respond, onError = () => {}, limits = LIMITS }: ListenOptions,
  ) {
    this.#server = createServer({
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: limits.idleMs,
      connectionsCheckingInterval: limits.checkMs,
    }, (request, response) => {
      this.#respond(request, response, respond)
        .catch(() => response.destroy());
    });
    this.#server.maxConnections = limits.maxConnections;
    // Without a listener, an error would end the process.
    this.#server.on("error", (error) => {
      if (this.#server.listening) onError(error);
    });
    this.#server.on("connection", (socket) => {
      this.#idle.add(socket);
      socket.once("close", () => this.#idle.delete(socket));
    });
  }

  /** Resolves when it listens. */
  async listen(address: ListenAddress): Promise<void> {
    if ("path" in address) {
      this.#socketFile = await listenAtPath(this.#server, address.path);
      return;
    }
    const { hostname, port } = address;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once("error", reject);
    this.#server.listen(port, hostname, () => resolve());
    await promise;
    this.#server.off("error", reject);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Accepts no more. Resolves when the requests in hand have their responses. */
  close(): Promise<void> {
    this.#isClosing = true;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socketFile?.[Symbol.dispose]();
    this.#server.close(() => resolve());
    for (const socket of this.#idle) socket.destroy();
    return promise;
  }

  /** Ends what is still in hand. */
  abort(): void {
    this.#server.closeAllConnections();
  }

  async #respond(
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    respond: ListenOptions["respond"],
  ): Promise<void> {
    const { socket } = incoming;
    this.#idle.delete(socket);
    outgoing.once("close", () => {
      if (this.#isClosing) socket.end();
      else if (!socket.destroyed) this.#idle.add(socket);
    });
    const request = requestOf(incoming);
    const response = request
      ? await respond(request, { from: socket.remoteAddress })
      : secured(new Problem(400, "This is no request for this API.").response);
    if (this.#isClosing) outgoing.setHeader("Connection", "close");
    await sendResponse(outgoing, response);
    // Not at once: a client that still sends would not see the response.
    if (!incoming.complete) {
      setTimeout(() => {
        if (!incoming.complete) incoming.socket.destroy();
      }, LINGER_MS);
    }
  }
}

/**
 * Listens for requests.
 *
 * @throws {UsageError} where it can't.
 */
export async function listen(options: ListenOptions): Promise<Listener> {
  const listener = new Listener(options);
  try {
    await listener.listen(options.address);
  } catch (error) {
    throw new UsageError(
      `Cannot listen on ${formatAddress(options.address)}: ` +
        `${reasonOf(error, options.address)} Give another --listen.`,
      { cause: error },
    );
  }
  return listener;
}

const SOCKET_REASONS: Readonly<Record<string, string>> = {
  ENOENT: "its folder does not exist.",
  EACCES: "there is no permission to write there.",
  EINVAL: "its path is too long.",
};
const NOT_HERE = "this machine does not have the address.";
const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE:
    "another program listens there. Stop it, or wait until it has ended.",
  EACCES: "ports below 1024 are for root.",
  EADDRNOTAVAIL: NOT_HERE,
  // What Deno makes of the same.
  EINVAL: NOT_HERE,
  ENOTFOUND: "there is no such name.",
};

function reasonOf(error: unknown, address: ListenAddress): string {
  const code = error instanceof Error && "code" in error ? error.code : "";
  const reasons = "path" in address ? SOCKET_REASONS : REASONS;
  return reasons[String(code)] ?? `${messageOf(error)}.`;
}
