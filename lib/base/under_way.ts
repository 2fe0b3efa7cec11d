/**
 * What must be over before the process may end. `exit()` runs destructors: a
 * thread of a native library that works meanwhile crashes, and a script that goes
 * by the exit code does again what was done.
 *
 * @module
 */

import { type Clock, systemClock } from "./clock.ts";

const underWay = new Set<Promise<unknown>>();

/** Has the process's end wait for this; returns the same promise. */
export function track<T>(work: Promise<T>): Promise<T> {
  underWay.add(work);
  const done = () => underWay.delete(work);
  work.then(done, done);
  return work;
}

/**
 * Waits for all that is tracked, and for what that begins, at most for `ms`.
 *
 * @returns false where something is still under way
 */
export async function settled(
  ms: number,
  clock: Clock = systemClock,
): Promise<boolean> {
  const over = new AbortController();
  const tooLate = clock.sleep(ms, over.signal).then(() => false);
  const all = async () => {
    while (underWay.size > 0) await Promise.allSettled(underWay);
    return true;
  };
  try {
    return await Promise.race([all(), tooLate]);
  } finally {
    over.abort();
  }
}
