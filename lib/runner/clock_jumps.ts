/**
 * Notices when the wall clock is set, or runners could not reach the store, so
 * that leases that nobody could renew are not taken for old ones.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";

/** Differences up to this are a clock that is slewed, or a late timer. */
const TOLERANCE_MS = 1_000;

/** Compares the wall clock with the one that never jumps. */
export class ClockJumps {
  readonly #clock: Clock;
  readonly #leaseMs: number;
  #offsetMs: number;
  #jumpMs = 0;
  #untilMs = -Infinity;

  constructor(clock: Clock, leaseMs: number) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
    this.#offsetMs = clock.now().getTime() - clock.monotonic();
  }

  /** For so long, nobody could renew a lease: a program kept the file. */
  heldUp(ms: number): void {
    this.#jumpMs = ms;
    this.#untilMs = this.#clock.monotonic() + this.#leaseMs;
  }

  /**
   * Leases that ended before this time are over. After a jump forward, live
   * runners need up to one lease to renew theirs; until then the cutoff is what
   * the clock would say without the jump.
   */
  leaseCutoff(now: Date): Date {
    const monotonic = this.#clock.monotonic();
    const offsetMs = now.getTime() - monotonic;
    const jumpMs = offsetMs - this.#offsetMs;
    if (Math.abs(jumpMs) > TOLERANCE_MS) {
      this.#offsetMs = offsetMs;
      this.#jumpMs = Math.max(0, jumpMs);
      this.#untilMs = monotonic + this.#leaseMs;
    }
    const isRecent = monotonic < this.#untilMs;
    return isRecent ? new Date(now.getTime() - this.#jumpMs) : now;
  }
}
