/**
 * Connects to addresses that were found before. `fetch` would resolve the host
 * by itself, and the answer may be another one by then (DNS rebinding).
 *
 * @module
 */

import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { type Address, hostOf } from "./addresses.ts";
import { connectionProblem, hopeless, httpError } from "./error.ts";

/** Options for {@linkcode connect}. */
export interface ConnectOptions {
  /** Where the URL's host is. Each is tried until one answers. */
  readonly addresses: readonly Address[];
  /** PEM of the certificates to trust. Default: those that Deno trusts. */
  readonly ca?: string;
  readonly signal: AbortSignal;
}

/**
 * Opens a connection for one request: with TLS, and the certificate checked
 * against the URL's host, for `https:`. The caller destroys it.
 *
 * @throws {RunError} where that fails, or the signal's reason.
 */
export async function connect(
  url: URL,
  { addresses, ca, signal }: ConnectOptions,
): Promise<Socket> {
  signal.throwIfAborted();
  const isTls = url.protocol === "https:";
  const host = hostOf(url);
  const port = Number(url.port || (isTls ? 443 : 80));
  // What is not permitted is thrown where nobody can catch it.
  const permitted = addresses.filter((it) => isPermitted(it, port));
  if (permitted.length === 0) {
    throw hopeless(
      `Cannot connect to ${url.host}: agent-runner has no permission to use ` +
        "the network.",
    );
  }
  const target = {
    host,
    port,
    autoSelectFamily: true,
    lookup: (_host: string, _options: unknown, found: Found) =>
      found(null, permitted),
  };
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let socket: Socket | undefined;
  const stop = () => socket?.destroy(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  try {
    socket = isTls
      ? connectTls({
        ...target,
        // An address is no name that a server could choose its certificate by.
        servername: isIP(host) === 0 ? host : "",
        ALPNProtocols: ["http/1.1"],
        ...ca !== undefined && { ca },
      })
      : connectTcp(target);
    // Stays: an error that nobody listens for would end the program.
    socket.on("error", reject);
    socket.once(isTls ? "secureConnect" : "connect", () => resolve());
    await promise;
    return socket;
  } catch (cause) {
    socket?.destroy();
    signal.throwIfAborted();
    throw httpError(
      `Cannot connect to ${url.host}: ${connectionProblem(cause)}.`,
      { cause },
    );
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function isPermitted({ address, family }: Address, port: number): boolean {
  const host = `${family === 6 ? `[${address}]` : address}:${port}`;
  return Deno.permissions.querySync({ name: "net", host }).state === "granted";
}

type Found = (error: null, addresses: Address[]) => void;
