/**
 * Time as a parameter, so that tests decide what time it is.
 *
 * @module
 */

/** Tells the time and waits. */
export interface Clock {
  /** The current wall-clock time. The same object may be given again. */
  now(): Date;
  /** Milliseconds from an arbitrary start; never jumps. */
  monotonic(): number;
  /**
   * Waits for `ms` milliseconds, or until the signal aborts. Returns at once
   * where `ms` is 0 or less. Never rejects: the caller looks at its signal.
   */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The longest that one timer waits: 2^31 - 1 ms, about 24 days. */
const MAX_TIMER_MS = 2_147_483_647;

/** A busy runner asks dozens of times in a millisecond. */
let lastNow = new Date();

/** The system's clock. */
export const systemClock: Clock = {
  now() {
    const ms = Date.now();
    if (ms !== lastNow.getTime()) lastNow = new Date(ms);
    return lastNow;
  },
  monotonic: () => performance.now(),
  sleep(ms, signal) {
    if (signal?.aborted || ms <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      let restMs = ms;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const wait = () => {
        const partMs = Math.min(restMs, MAX_TIMER_MS);
        restMs -= partMs;
        timer = setTimeout(restMs > 0 ? wait : done, partMs);
      };
      signal?.addEventListener("abort", done, { once: true });
      wait();
    });
  },
};
