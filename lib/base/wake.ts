/**
 * Waiting that somebody else can end.
 *
 * @module
 */

import type { Clock } from "./clock.ts";

/**
 * Ends the wait of one who waits again and again; a wake while nobody waits ends
 * the next wait. Not promises that race: those that lose would stay, and some wait
 * here for months.
 */
export class Wake {
  #controller = new AbortController();

  /** Ends the wait, or the next one. */
  wake(): void {
    this.#controller.abort();
  }

  /**
   * Waits for at most so many milliseconds; without them, until it is woken.
   *
   * @returns false where nobody ended the wait.
   */
  async wait(clock: Clock, ms = Infinity): Promise<boolean> {
    await clock.sleep(ms, this.#controller.signal);
    const isWoken = this.#controller.signal.aborted;
    if (isWoken) this.#controller = new AbortController();
    return isWoken;
  }
}

/** What the work gives; undefined as soon as the signal aborts. */
export function orAborted<T>(
  work: Promise<T>,
  signal: AbortSignal,
): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const end = () => resolve(undefined);
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
    work.then(resolve, reject).finally(() =>
      signal.removeEventListener("abort", end)
    );
  });
}
