/**
 * Finds the addresses of a URL's host, and refuses those that are not public.
 *
 * @module
 */

import { lookup as systemLookup } from "node:dns/promises";
import { isIP } from "node:net";
import { messageOf } from "../../base/errors.ts";
import {
  type Address,
  type AllowedAddresses,
  hostOf,
  isPublic,
} from "./addresses.ts";
import { hopeless, HttpError } from "./error.ts";
import { unlessAborted } from "../time_limit.ts";

/** Finds the addresses of a host. Rejects where it has none. */
export type Lookup = (host: string) => Promise<readonly Address[]>;

/** As the system resolves names: hosts file, then DNS. */
export const resolveHost: Lookup = async (host) => {
  const found = await systemLookup(host, { all: true });
  return found.map(({ address, family }) => ({
    address,
    family: family === 6 ? 6 : 4,
  }));
};

/** Options for {@linkcode addressesOf}. */
export interface AddressOptions {
  readonly allowed: AllowedAddresses;
  readonly lookup: Lookup;
  readonly signal: AbortSignal;
}

/**
 * The addresses that may be connected to for a URL. Connect to these, and do not
 * resolve the host again: the next answer may be another one.
 *
 * @throws {HttpError} where there are none, or one of them is refused.
 */
export async function addressesOf(
  url: URL,
  { allowed, lookup, signal }: AddressOptions,
): Promise<readonly Address[]> {
  const host = hostOf(url);
  const family = isIP(host);
  const addresses: readonly Address[] = family === 0
    ? await resolve(host, { lookup, signal })
    : [{ address: host, family: family === 6 ? 6 : 4 }];
  const refused = addresses.find((it) =>
    !isPublic(it) && !allowed.allows(url.hostname, it)
  );
  if (!refused) return addresses;
  const what = family === 0
    ? `${host} has the address ${refused.address}, which is not public`
    : `${host} is not a public address`;
  throw hopeless(
    `Cannot connect to ${url.host}: ${what}. If it is meant, allow it with ` +
      '"allowPrivate" in the configuration.',
  );
}

async function resolve(
  host: string,
  { lookup, signal }: Pick<AddressOptions, "lookup" | "signal">,
): Promise<readonly Address[]> {
  try {
    const addresses = await unlessAborted(lookup(host), signal);
    if (addresses.length > 0) return addresses;
  } catch (cause) {
    signal.throwIfAborted();
    throw new HttpError(`Cannot resolve ${host}: ${reasonOf(cause)}.`, {
      retryable: true,
      cause,
    });
  }
  throw new HttpError(`Cannot resolve ${host}: it has no address.`, {
    retryable: true,
  });
}

function reasonOf(error: unknown): string {
  switch ((error as { code?: unknown } | undefined)?.code) {
    case "ENOTFOUND":
      return "there is no such host";
    case "EPERM":
      return "agent-runner has no permission to use the network";
    default:
      return messageOf(error);
  }
}
