/**
 * Listening, and saying clearly where that can't be done.
 *
 * @module
 */

import { messageOf, UsageError } from "../errors.ts";
import { formatAddress, type ListenAddress } from "../listen_address.ts";

/** Options for {@linkcode listen}. */
export interface ListenOptions {
  readonly address: ListenAddress;
  readonly respond: (request: Request) => Response | Promise<Response>;
}

/**
 * Listens for requests.
 *
 * @throws {UsageError} where it can't.
 */
export function listen(
  { address, respond }: ListenOptions,
): Deno.HttpServer<Deno.NetAddr> {
  try {
    return Deno.serve(
      { ...address, onListen: () => {} },
      respond,
    );
  } catch (error) {
    throw new UsageError(
      `Cannot listen on ${formatAddress(address)}: ${reasonOf(error)} ` +
        "Give another --listen.",
      { cause: error },
    );
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) {
    return "another program listens there. Stop it, or wait until it has ended.";
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return "ports below 1024 are for root.";
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return "this machine does not have the address.";
  }
  return `${messageOf(error)}.`;
}
