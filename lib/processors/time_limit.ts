/**
 * Ends what takes too long.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";

/** Aborts its signal after a time. Dispose of it to stop the clock. */
export class TimeLimit implements Disposable {
  readonly #ended = new AbortController();
  readonly #passed = new AbortController();

  /** @param reason what the signal is aborted with */
  constructor(clock: Clock, ms: number, reason: () => Error) {
    clock.sleep(ms, this.#ended.signal).then(() => {
      if (!this.#ended.signal.aborted) this.#passed.abort(reason());
    });
  }

  get signal(): AbortSignal {
    return this.#passed.signal;
  }

  [Symbol.dispose](): void {
    this.#ended.abort();
  }
}

/** Settles as the promise does, but rejects as soon as the signal aborts. */
export async function unlessAborted<T>(
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
