/**
 * Refuses what no honest caller sends: requests by a name that is not this
 * service's (DNS rebinding), from another site's page, or without the token.
 *
 * @module
 */

import type { MiddlewareHandler } from "hono";
import { isIpAddress, isLoopback } from "../../config/listen_address.ts";
import { Problem } from "./problem.ts";
import type { Access } from "./session.ts";

/** Options for {@linkcode ownRequests}. */
export interface HostOptions {
  /** What is listened on. */
  readonly hostname: string;
  /** Names that are this service's too. */
  readonly allowedHosts: readonly string[];
}

/**
 * Demands a Host header that another site can't bring about, since its own
 * name, pointed at this machine, would be the way around all else (an IP address
 * is no such name); and refuses what another site's page makes a browser send.
 */
export function ownRequests(
  { hostname, allowedHosts }: HostOptions,
): MiddlewareHandler {
  const names = new Set(allowedHosts.map((name) => name.toLowerCase()));
  const isOpen = !isLoopback(hostname);
  return async (c, next) => {
    const { headers, method } = c.req.raw;
    const host = (headers.get("Host") ?? "").toLowerCase();
    const name = host.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
    if (
      !isLoopback(name) && !names.has(name) && !(isOpen && isIpAddress(name))
    ) {
      throw new Problem(
        421,
        "This service is not known by that name. " +
          "Start it with --allow-host and the name to allow it.",
      );
    }
    const site = headers.get("Sec-Fetch-Site") ?? "none";
    const isOwnSite = site === "same-origin" || site === "none" ||
      isNavigation(headers, method);
    const origin = headers.get("Origin");
    const from = origin === null ? null : URL.parse(origin);
    const isOwnOrigin = origin === null || from?.host === host ||
      names.has(from?.hostname ?? "");
    if (!isOwnSite || !isOwnOrigin) {
      throw new Problem(403, "Pages of other sites may not call this service.");
    }
    await next();
  };
}

/** A link or a bookmark may lead to a page. */
function isNavigation(headers: Headers, method: string): boolean {
  return method === "GET" && headers.get("Sec-Fetch-Mode") === "navigate" &&
    headers.get("Sec-Fetch-Dest") === "document";
}

/** Demands the token, or a session that was begun with it. */
export function authorized(
  access: Access,
  { now, isPublic }: {
    readonly now: () => Date;
    readonly isPublic: (path: string) => boolean;
  },
): MiddlewareHandler {
  return async (c, next) => {
    if (!isPublic(c.req.path) && !access.allows(c.req.raw.headers, now())) {
      throw new Problem(
        401,
        "A token is needed. Send Authorization: Bearer <token>.",
        { headers: { "WWW-Authenticate": 'Bearer realm="agent-runner"' } },
      );
    }
    await next();
  };
}
