/**
 * What must be over before the process may end. `exit()` runs destructors: a
 * thread of a native library that works meanwhile crashes, and a script that goes
 * by the exit code does again what was done.
 *
 * @module
 */

import { type Clock, systemClock } from "./clock.ts";

const underWay = new Set<Promise<unknown>>();

/**
 * How often the event loop comes round while something is under way, in
 * milliseconds. On a busy machine a process was seen that waited for ever for a
 * native call, asleep and with nothing at work in it: Deno (2.9.6) may miss the end
 * of one, and hears of it when it comes round for something else.
 */
const ROUND_MS = 1_000;
let rounds: ReturnType<typeof setInterval> | undefined;

/** Has the process's end wait for this; returns the same promise. */
export function track<T>(work: Promise<T>): Promise<T> {
  underWay.add(work);
  rounds ??= setInterval(() => {}, ROUND_MS);
  const done = () => {
    underWay.delete(work);
    if (underWay.size > 0) return;
    clearInterval(rounds);
    rounds = undefined;
  };
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
