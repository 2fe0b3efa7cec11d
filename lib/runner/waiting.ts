/**
 * Waiting for work at next to no cost: nothing is asked of the store until somebody
 * else changed it or a task is due.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { orAborted } from "../base/wake.ts";
import type { Queue } from "../store/contract.ts";

/** Options for {@linkcode Waiting}. */
export interface WaitingOptions {
  readonly queue: Pick<Queue, "untilDue" | "onChange">;
  readonly clock: Clock;
  readonly log: Log;
  /** The longest wait after a failure, in milliseconds. */
  readonly intervalMs: number;
  /** Ends the waiting. */
  readonly stop: AbortSignal;
}

/**
 * The longest wait for a change: some file systems don't show each, and after a
 * clock was set nobody knows what becomes due.
 */
const LONGEST_MS = 60_000;
/** The shortest for what is due: a store that always says so keeps nobody busy. */
const SHORTEST_MS = 10;
/** The shortest time between a claim that failed and the next. */
const AFTER_FAILURE_MS = 250;

/** Waits for a change of the store, a due task, or the end. */
export class Waiting implements Disposable {
  readonly #options: WaitingOptions;
  readonly #subscription: Disposable;
  readonly #onStop = () => this.wake();
  #wake = new AbortController();
  #hasFailed = false;

  constructor(options: WaitingOptions) {
    this.#options = options;
    this.#subscription = options.queue.onChange(() => this.wake());
    options.stop.addEventListener("abort", this.#onStop, { once: true });
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    this.#options.stop.removeEventListener("abort", this.#onStop);
  }

  /** Ends the wait, or the next one: there may be something to claim. */
  wake(): void {
    this.#wake.abort();
  }

  /** To be called before each claim: it sees what was changed until then. */
  beforeClaim(): void {
    if (this.#wake.signal.aborted) this.#wake = new AbortController();
  }

  /**
   * To be called after a claim that failed: what it was for still waits, though
   * nothing changes in the store when, say, a disk has space again.
   */
  failed(): void {
    this.#hasFailed = true;
  }

  /**
   * Resolves when there may be something to claim.
   *
   * @param since when the last claim was, by the store's clock
   * @param nextMs when there is something in any case, from now
   */
  async wait(since: Date, nextMs = Infinity): Promise<void> {
    const { clock, intervalMs, stop } = this.#options;
    const end = this.#wake.signal;
    if (this.#hasFailed) {
      this.#hasFailed = false;
      const shortestMs = Math.min(intervalMs, AFTER_FAILURE_MS);
      await clock.sleep(shortestMs, stop);
      await clock.sleep(intervalMs - shortestMs, end);
      return;
    }
    if (end.aborted) return;
    const dueMs = await orAborted(this.#untilDue(since), end) ?? Infinity;
    await clock.sleep(
      Math.min(Math.max(Math.min(dueMs, nextMs), SHORTEST_MS), LONGEST_MS),
      end,
    );
  }

  async #untilDue(since: Date): Promise<number | null> {
    const { queue, log, intervalMs } = this.#options;
    try {
      return await queue.untilDue(since);
    } catch (error) {
      log.error(`Cannot look for due tasks: ${messageOf(error)}`, {
        event: "pass_failed",
        error: messageOf(error),
      });
      return intervalMs;
    }
  }
}
