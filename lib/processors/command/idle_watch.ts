/**
 * Notices that a program says nothing any more. Some agents retry for hours without
 * a word.
 *
 * @module
 */

import type { Clock } from "../../base/clock.ts";

/** Watches one program. Dispose of it when that has ended. */
export class IdleWatch implements Disposable {
  readonly #idleMs: number;
  readonly #clock: Clock;
  readonly #idle = new AbortController();
  readonly #over = new AbortController();
  #heardAt: number;

  /** @param idleMs how long it may say nothing, in milliseconds; 0 for ever */
  constructor(idleMs: number, clock: Clock) {
    this.#idleMs = idleMs;
    this.#clock = clock;
    this.#heardAt = clock.monotonic();
    if (idleMs > 0) this.#watch();
  }

  /** Aborts when nothing was heard for so long. */
  get signal(): AbortSignal {
    return this.#idle.signal;
  }

  /** It said something. */
  heard(): void {
    this.#heardAt = this.#clock.monotonic();
  }

  [Symbol.dispose](): void {
    this.#over.abort();
  }

  async #watch(): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      const idleAt = this.#heardAt + this.#idleMs;
      const leftMs = idleAt - this.#clock.monotonic();
      if (leftMs <= 0) return this.#idle.abort("idle");
      await this.#clock.sleep(leftMs, signal);
    }
  }
}
