/**
 * Writes the outcomes of runs in groups: one commit for all that ended within a
 * few milliseconds.
 *
 * @module
 */

import { backoffMs } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import { DatabaseError, messageOf } from "./errors.ts";
import type { Log } from "./log.ts";
import type { RecordResult, TaskStore } from "./store.ts";
import type { Transition } from "./task.ts";

/** How long the first of a group waits for others. */
const GROUP_DELAY_MS = 5;
/**
 * The same after a group of at least `BUSY_ROWS`. A commit takes 20 ms however
 * few its rows, so a busy runner makes fewer and larger ones.
 */
const BUSY_GROUP_DELAY_MS = 50;
const BUSY_ROWS = 100;
/** A group of this size is written at once. */
const GROUP_ROWS = 10_000;

interface Waiting {
  readonly transition: Transition;
  readonly resolve: (result: RecordResult) => void;
  readonly reject: (error: unknown) => void;
}

/** Options for {@linkcode Recorder}. */
export interface RecorderOptions {
  readonly store: TaskStore;
  readonly clock: Clock;
  readonly log: Log;
  /** For how long a write that fails is tried again. */
  readonly retryMs: number;
  /** Called after each commit. */
  readonly onCommit?: (rows: number) => void;
}

/** Groups transitions and writes them. */
export class Recorder {
  readonly #options: RecorderOptions;
  #waiting: Waiting[] = [];
  #full = new AbortController();
  #delayMs = GROUP_DELAY_MS;
  #writing: Promise<void> | undefined;

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /**
   * Applies a transition with those of its group.
   *
   * @throws {DatabaseError} where the store can't be written for longer than the
   * time for which writes are tried again.
   */
  record(transition: Transition): Promise<RecordResult> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ transition, resolve, reject });
      if (this.#waiting.length >= GROUP_ROWS) this.#full.abort();
      this.#writing ??= this.#write().finally(() => this.#writing = undefined);
    });
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.#options.clock.sleep(this.#delayMs, this.#full.signal);
      const group = this.#waiting;
      this.#waiting = [];
      this.#full = new AbortController();
      this.#delayMs = group.length < BUSY_ROWS
        ? GROUP_DELAY_MS
        : BUSY_GROUP_DELAY_MS;
      try {
        const results = await this.#writeGroup(
          group.map(({ transition }) => transition),
        );
        group.forEach(({ resolve, transition }, index) =>
          resolve(
            results[index] ??
              { applied: false, traceText: transition.traceText },
          )
        );
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
  }

  async #writeGroup(group: readonly Transition[]): Promise<RecordResult[]> {
    const { store, clock, log, retryMs } = this.#options;
    const deadline = clock.monotonic() + retryMs;
    for (let attempt = 1;; attempt++) {
      try {
        const results = await store.record(group, clock.now());
        this.#options.onCommit?.(group.length);
        return results;
      } catch (error) {
        const isLate = clock.monotonic() >= deadline;
        if (!(error instanceof DatabaseError) || isLate) throw error;
        const waitMs = backoffMs(attempt, { baseMs: 100, maxMs: 5_000 });
        log.warning(
          `Cannot record ${group.length} outcomes yet: ${messageOf(error)} ` +
            `Next try in ${Math.round(waitMs)} ms.`,
        );
        await clock.sleep(waitMs);
      }
    }
  }
}
