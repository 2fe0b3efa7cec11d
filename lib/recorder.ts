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

const NOT_APPLIED: RecordResult = { applied: false, traceText: null };

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

/** Something that waits to be written. */
export interface Recordable {
  readonly transition: Transition;
  /** Called when it is committed, or found to be too late. */
  written(result: RecordResult): void | Promise<void>;
  /** Called where it can't be written. */
  failed(error: unknown): void;
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
  #waiting: Recordable[] = [];
  #beingWritten = 0;
  #full = new AbortController();
  #delayMs = GROUP_DELAY_MS;
  #writing: Promise<void> | undefined;

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** How many are not written yet. */
  get size(): number {
    return this.#waiting.length + this.#beingWritten;
  }

  /** Resolves when a group was written, and what waits for it knows. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  /** Writes something with those of its group. */
  add(item: Recordable): void {
    this.#waiting.push(item);
    if (this.#waiting.length >= GROUP_ROWS) this.#full.abort();
    this.#writing ??= this.#write();
  }

  /**
   * Applies a transition with those of its group.
   *
   * @throws {DatabaseError} where the store can't be written for longer than the
   * time for which writes are tried again.
   */
  record(transition: Transition): Promise<RecordResult> {
    return new Promise((written, failed) =>
      this.add({ transition, written, failed })
    );
  }

  async #write(): Promise<void> {
    await this.#options.clock.sleep(this.#delayMs, this.#full.signal);
    const group = this.#waiting;
    this.#waiting = [];
    this.#beingWritten = group.length;
    this.#full = new AbortController();
    this.#delayMs = group.length < BUSY_ROWS
      ? GROUP_DELAY_MS
      : BUSY_GROUP_DELAY_MS;
    await this.#writeGroup(group).then(
      async (results) => {
        for (const [index, item] of group.entries()) {
          // Mostly it returns nothing, and then there is nothing to wait for.
          const done = item.written(results[index] ?? NOT_APPLIED);
          if (done) await done;
        }
      },
      (error) => {
        for (const item of group) item.failed(error);
      },
    );
    this.#beingWritten = 0;
    this.#writing = this.#waiting.length > 0 ? this.#write() : undefined;
  }

  async #writeGroup(group: readonly Recordable[]): Promise<RecordResult[]> {
    const transitions = group.map(({ transition }) => transition);
    const { store, clock, log, retryMs } = this.#options;
    const deadline = clock.monotonic() + retryMs;
    for (let attempt = 1;; attempt++) {
      try {
        const results = await store.record(transitions, clock.now());
        this.#options.onCommit?.(group.length);
        return results;
      } catch (error) {
        const isLate = clock.monotonic() >= deadline;
        if (!(error instanceof DatabaseError) || isLate) throw error;
        const waitMs = backoffMs(attempt, { baseMs: 100, maxMs: 5_000 });
        log.warning(
          `Cannot record ${group.length} outcomes yet: ${messageOf(error)} ` +
            `Next try in ${Math.round(waitMs)} ms.`,
          {
            event: "record_delayed",
            count: group.length,
            error: messageOf(error),
          },
        );
        await clock.sleep(waitMs);
      }
    }
  }
}
