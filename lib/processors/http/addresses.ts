/**
 * Finds the addresses of a URL's host that may be connected to: public ones, and
 * others only where the configuration allows them.
 *
 * @module
 */

import { lookup as systemLookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import { connectionProblem, hopeless, httpError } from "./error.ts";

/** An address that a host has. */
export interface Address {
  readonly address: string;
  readonly family: 4 | 6;
}

/**
 * What is not on the public internet: IANA's special-purpose registries
 * (RFC 6890), and of IPv6 all that is outside 2000::/3, which loopback, private,
 * link-local, multicast, IPv4-mapped and NAT64 addresses are.
 */
const NOT_PUBLIC = blockList([
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/3",
  "::/3",
  "4000::/2",
  "8000::/1",
  "2001::/23",
  "2001:db8::/32",
  "2002::/16",
  "3fff::/20",
  // The platform's own services on every machine of Azure.
  "168.63.129.16",
]);

/** Says whether an address is on the public internet. */
export function isPublic({ address, family }: Address): boolean {
  return !NOT_PUBLIC.check(withoutZone(address), familyName(family));
}

/** The addresses and hosts that are allowed though they are not public. */
export class AllowedAddresses {
  readonly #addresses: BlockList;
  readonly #hosts: ReadonlySet<string>;

  /** Takes entries that {@linkcode isAllowEntry} finds right. */
  constructor(entries: readonly string[]) {
    const read = entries.map(readEntry);
    this.#addresses = blockList(
      entries.filter((_, index) => read[index]?.kind === "addresses"),
    );
    this.#hosts = new Set(
      read.flatMap((it) => it?.kind === "host" ? [it.host] : []),
    );
  }

  /** @param host as in the `hostname` of a URL */
  allows(host: string, { address, family }: Address): boolean {
    return this.#hosts.has(host) ||
      this.#addresses.check(withoutZone(address), familyName(family));
  }
}

/** Says whether a text is a host, an address or a range like `10.0.0.0/8`. */
export function isAllowEntry(text: string): boolean {
  return readEntry(text) !== undefined;
}

/** The host of a URL as connections take it: an IPv6 address has no brackets. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, "");
}

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
 * @throws {RunError} where there are none, or one of them is refused.
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
    throw httpError(`Cannot resolve ${host}: ${connectionProblem(cause)}.`, {
      cause,
    });
  }
  throw httpError(`Cannot resolve ${host}: it has no address.`);
}

/** Settles as the promise does, but rejects as soon as the signal aborts. */
async function unlessAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const stop = () => reject(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

type Entry =
  | {
    readonly kind: "addresses";
    readonly address: string;
    readonly prefix: number;
  }
  | { readonly kind: "host"; readonly host: string };

function readEntry(text: string): Entry | undefined {
  const [address = "", prefix, ...rest] = text.split("/");
  const family = isIP(address);
  if (family === 0) {
    const host = canonicalHost(text);
    return host === undefined ? undefined : { kind: "host", host };
  }
  const bits = family === 4 ? 32 : 128;
  const isRange = prefix === undefined ||
    /^\d{1,3}$/.test(prefix) && Number(prefix) <= bits;
  return isRange && rest.length === 0
    ? { kind: "addresses", address, prefix: Number(prefix ?? bits) }
    : undefined;
}

/** As a URL writes it: in lower case, `127.1` as `127.0.0.1`. */
function canonicalHost(text: string): string | undefined {
  if (!/^[\p{L}\p{N}._-]+$/u.test(text)) return undefined;
  return URL.parse(`http://${text}`)?.hostname;
}

function blockList(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries.map(readEntry)) {
    if (entry?.kind !== "addresses") continue;
    const { address, prefix } = entry;
    list.addSubnet(address, prefix, familyName(isIP(address)));
  }
  return list;
}

function familyName(family: number): "ipv4" | "ipv6" {
  return family === 4 ? "ipv4" : "ipv6";
}

/** `fe80::1%eth0` is an address on one of several networks. */
function withoutZone(address: string): string {
  return address.replace(/%.*$/, "");
}
