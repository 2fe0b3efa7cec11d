/**
 * Refuses what no honest caller sends: requests by a name that is not this
 * service's (DNS rebinding), from another site's page, or without the token; and
 * what is too much at a time, or takes too long.
 *
 * @module
 */

import type { MiddlewareHandler } from "hono";
import type { Clock } from "../../base/clock.ts";
import { isIpAddress, isLoopback } from "../../config/listen_address.ts";
import type { Access } from "./access.ts";
import { Problem } from "./responses.ts";

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

/** What proxies say of whom they ask for. */
const FORWARDED =
  /^(via|forwarded(-for)?|x-forwarded(-.+)?|x-(real|client|cluster-client)-ip|x-original-(host|forwarded-for)|x-envoy-external-address|(cf|true|fly|fastly)-(.*client.*-)?ip|(true|fastly)-client-ip|cf-connecting-ip)$/;

/**
 * Refuses what comes through a proxy where no token is needed: listening where
 * only this machine can reach it is no bound then.
 */
export function direct({ needsToken }: Access): MiddlewareHandler {
  return async (c, next) => {
    const { headers } = c.req.raw;
    const names = [...headers.keys()];
    if (!needsToken && names.some((it) => FORWARDED.test(it))) {
      throw new Problem(
        403,
        "Requests through a proxy need a token. Start the service with " +
          "HANDSFREE_AGENT_TOKEN or --token-file.",
      );
    }
    await next();
  };
}

/** A link or a bookmark may lead to a page. */
function isNavigation(headers: Headers, method: string): boolean {
  return method === "GET" && headers.get("Sec-Fetch-Mode") === "navigate" &&
    headers.get("Sec-Fetch-Dest") === "document";
}

/** Demands a token, or a session that was begun with it, and one that may change. */
export function authorized(
  access: Access,
  isPublic: (path: string) => boolean,
): MiddlewareHandler {
  return async (c, next) => {
    if (isPublic(c.req.path)) return await next();
    const right = await access.rightOf(c);
    if (!right) {
      throw new Problem(
        401,
        "A token is needed. Send Authorization: Bearer <token>.",
        { headers: { "WWW-Authenticate": 'Bearer realm="agent-runner"' } },
      );
    }
    const isRead = c.req.method === "GET" || c.req.method === "HEAD";
    if (right === "read" && !isRead) {
      throw new Problem(
        403,
        "This token may only read. Use the one in HANDSFREE_AGENT_TOKEN.",
      );
    }
    await next();
  };
}

/** Options for {@linkcode bounded}. */
export interface LimitOptions {
  readonly clock: Clock;
  /** Requests at the same time; streams count until they are open. */
  readonly maxRequests: number;
  readonly timeoutMs: number;
}

/** Refuses what is too much at a time, and gives up on what takes too long. */
export function bounded(
  { clock, maxRequests, timeoutMs }: LimitOptions,
): MiddlewareHandler {
  let requests = 0;
  return async (_c, next) => {
    if (requests >= maxRequests) {
      throw new Problem(503, "Too many requests at a time. Try again soon.", {
        headers: { "Retry-After": "1" },
      });
    }
    requests++;
    const done = new AbortController();
    const tooLate = clock.sleep(timeoutMs, done.signal).then(() => {
      if (done.signal.aborted) return;
      throw new Problem(
        504,
        `The request took longer than ${timeoutMs / 1_000} s. ` +
          "What it was to change may have been changed.",
      );
    });
    // What goes on after the response must not be counted as over.
    const work = next().finally(() => requests--);
    try {
      await Promise.race([work, tooLate]);
    } finally {
      done.abort();
      work.catch(() => {});
    }
  };
}
