/**
 * Bounds on how many requests are worked on, and for how long.
 *
 * @module
 */

import type { MiddlewareHandler } from "hono";
import type { Clock } from "../../base/clock.ts";
import { Problem } from "./problem.ts";

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
    // What goes on after the answer must not be counted as over.
    const work = next().finally(() => requests--);
    try {
      await Promise.race([work, tooLate]);
    } finally {
      done.abort();
      work.catch(() => {});
    }
  };
}
