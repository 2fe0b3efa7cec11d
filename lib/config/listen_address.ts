/**
 * Where the HTTP API listens, and who can reach that. Pure.
 *
 * @module
 */

/** A port to listen on. */
export interface PortAddress {
  /** A name or an IP address; one of version 6 without brackets. */
  readonly hostname: string;
  /** 0: any that is free. */
  readonly port: number;
}

/** A Unix socket to listen on. */
export interface SocketAddress {
  /** Absolute. */
  readonly path: string;
}

/** An address to listen on. */
export type ListenAddress = PortAddress | SocketAddress;

const LOOPBACK = "127.0.0.1";
const ADDRESS = /^(?:(?:\[([0-9a-f:.]+)\]|([^\s:[\]/@]+))?:)?(\d{1,5})$/i;

/**
 * Reads `127.0.0.1:8080`, `localhost:8080`, `[::1]:8080`, `:8080` or `8080`, or
 * `unix:/run/agent-runner.sock`. Without a name, only this machine can reach it.
 *
 * @returns undefined where the text is none of these.
 */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const path = parseSocketPath(text);
  if (path !== undefined) return { path };
  const [match, v6, name, digits] = ADDRESS.exec(text.trim()) ?? [];
  const port = Number(digits);
  if (match === undefined || port > 65_535) return undefined;
  if (v6 !== undefined && !v6.includes(":")) return undefined;
  return { hostname: v6 ?? name ?? LOOPBACK, port };
}

/** The absolute path in `unix:/run/agent-runner.sock`; undefined for all else. */
export function parseSocketPath(text: string): string | undefined {
  return /^unix:(\/.*[^/])$/.exec(text.trim())?.[1];
}

/**
 * Reads names of hosts, separated by commas.
 *
 * @returns undefined where one has a scheme, a port or a path.
 */
export function parseHosts(text: string): string[] | undefined {
  const hosts = text.split(",").map((it) => it.trim()).filter((it) =>
    it !== ""
  );
  return hosts.every((it) => /^[^\s:/@[\]]+$/.test(it)) ? hosts : undefined;
}

/** `127.0.0.1:8080`, `[::1]:8080`, `unix:/run/agent-runner.sock`. */
export function formatAddress(address: ListenAddress): string {
  if ("path" in address) return `unix:${address.path}`;
  const { hostname, port } = address;
  return hostname.includes(":")
    ? `[${hostname}]:${port}`
    : `${hostname}:${port}`;
}

/** The name that local callers use: a socket has none of its own. */
export function hostnameOf(address: ListenAddress): string {
  return "path" in address ? "localhost" : address.hostname;
}

/** Says whether a name or an IP address is this machine for everybody. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "::1" ||
    /^127(\.\d{1,3}){3}$/.test(hostname);
}

/** Says whether this is an IP address, without brackets. */
export function isIpAddress(hostname: string): boolean {
  return hostname.includes(":") || /^\d{1,3}(\.\d{1,3}){3}$/.test(hostname);
}
