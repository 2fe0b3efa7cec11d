/**
 * Waiting for what must happen. The limit is a minute, which only a hang reaches:
 * how busy the machine is decides nothing.
 *
 * @module
 */

import { turn } from "./fake_clock.ts";

/** In milliseconds. */
export const LIMIT_MS = 60_000;

/** What the promise gives; fails where it gives nothing within the limit. */
export async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`It did not happen: ${what}`)),
    LIMIT_MS,
  );
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until something holds; looks each time that all else had its turn. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + LIMIT_MS;
  while (!await holds()) {
    if (performance.now() > deadline) {
      throw new Error(`It did not happen: ${what}`);
    }
    await turn();
  }
}
