/**
 * Waiting for work at next to no cost: nothing is opened until somebody else
 * changed the store or a task is due.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { TaskStore } from "../store/contract.ts";

/** Options for {@linkcode Idle}. */
export interface IdleOptions {
  readonly store: TaskStore;
  readonly clock: Clock;
  readonly log: Log;
  /** The longest time between two looks for a change, and after a failure. */
  readonly intervalMs: number;
  /** Ends the waiting. */
  readonly stop: AbortSignal;
}

/**
 * How often to look whether the store has changed. 40 looks a second take 1% of
 * a processor, nearly all of it for waking up; looking less often makes a new
 * task wait longer. Being told of changes is no way: see `duckdb/file.ts`.
 */
const LOOK_MS = 25;

/**
 * The longest wait for a change: some file systems don't show each, and after a
 * clock was set nobody knows what becomes due.
 */
const LONGEST_WAIT_MS = 60_000;

/** The shortest time between a claim that failed and the next. */
const AFTER_FAILURE_MS = 250;

/** Waits for a change of the store, a due task, or the end. */
export class Idle {
  readonly #options: IdleOptions;
  #wake = new AbortController();
  #seenChanges = 0;
  #claimedAt: Date;
  #hasFailed = false;

  constructor(options: IdleOptions) {
    this.#options = options;
    this.#claimedAt = options.clock.now();
  }

  /** Ends the wait: there is something new to wait for. */
  wake(): void {
    this.#wake.abort();
  }

  /**
   * To be called after a claim that failed: what it was for still waits, though
   * nothing changes in the store when, say, a disk has space again.
   */
  failed(): void {
    this.#hasFailed = true;
  }

  /** To be called before each claim: it sees what was changed until then. */
  async beforeClaim(): Promise<void> {
    const { store, clock } = this.#options;
    this.#seenChanges = await store.changeCount();
    this.#claimedAt = clock.now();
    if (this.#wake.signal.aborted) this.#wake = new AbortController();
  }

  /** Resolves when there may be something to claim, or `until` aborts. */
  async wait(until: AbortSignal): Promise<void> {
    const { store, clock, log, intervalMs, stop } = this.#options;
    // Not AbortSignal.any(): listening to one, 40 times a second, is dear.
    const end = new AbortController();
    const ended = end.signal;
    for (const signal of [stop, until, this.#wake.signal]) {
      if (signal.aborted) end.abort();
      signal.addEventListener("abort", () => end.abort(), { signal: ended });
    }
    let dueAt = Infinity;
    try {
      if (!this.#hasFailed) {
        // From the claim on: what became due since then is still to be claimed.
        const due = await store.nextDueAt(this.#claimedAt);
        if (due) dueAt = due.getTime();
      }
    } catch (error) {
      log.error(`Cannot look for due tasks: ${messageOf(error)}`, {
        event: "pass_failed",
        error: messageOf(error),
      });
      this.#hasFailed = true;
    }
    const longestMs = this.#hasFailed ? intervalMs : LONGEST_WAIT_MS;
    const waitUntil = clock.monotonic() + longestMs;
    if (this.#hasFailed) {
      this.#hasFailed = false;
      await clock.sleep(Math.min(intervalMs, AFTER_FAILURE_MS), ended);
    }
    while (!ended.aborted) {
      const leftMs = Math.min(
        dueAt - clock.now().getTime(),
        waitUntil - clock.monotonic(),
      );
      if (leftMs <= 0 || await store.changeCount() !== this.#seenChanges) break;
      await clock.sleep(Math.min(LOOK_MS, intervalMs, leftMs), ended);
    }
    end.abort();
  }
}
