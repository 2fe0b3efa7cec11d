/**
 * Writes the outcomes of runs in groups: one commit for all that ended within a
 * few milliseconds.
 *
 * @module
 */

import { backoffMs } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import { DatabaseError, messageOf } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { RecordResult, TaskStore } from "../store/contract.ts";
import type { Transition } from "../task/task.ts";
import { nextTurn } from "../base/event_loop.ts";

const NOT_APPLIED: RecordResult = { applied: false, traceText: null };

/** How long the first of a group waits for others. */
const GROUP_DELAY_MS = 5;
/**
 * How long after one of at least `BUSY_ROWS` the next group begins. A commit
 * takes its time however few its rows: a busy runner makes fewer, larger ones.
 */
const BUSY_GROUP_MS = 60;
const BUSY_ROWS = 100;
/** A group of this size is written at once. */
const GROUP_ROWS = 10_000;
/** So many are told in one turn of the event loop. */
const TOLD_PER_TURN = 250;

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
  /** Called after each commit. */
  readonly onCommit?: (rows: number) => void;
}

/** Groups transitions and writes them. */
export class Recorder {
  readonly #options: RecorderOptions;
  #waiting: Recordable[] = [];
  /** Taken from those that wait, and not told yet what came of it. */
  #takenCount = 0;
  #full = new AbortController();
  /** When the next group may be written, in the clock's monotonic time. */
  #notBefore = 0;
  #writing: Promise<void> | undefined;
  #telling: Promise<void> = Promise.resolve();
  #giveUpAt = Infinity;

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** How many are not written yet. */
  get size(): number {
    return this.#waiting.length + this.#takenCount;
  }

  /** Writes what there is now. Resolves when what waits for it knows. */
  async settled(): Promise<void> {
    if (this.#waiting.length > 0) this.#full.abort();
    await this.#writing;
    await this.#telling;
  }

  /**
   * Until then, in the clock's monotonic time, a write that fails is tried again.
   * For ever, before this is called: the work is done, and the lease decides
   * whether it still counts.
   */
  giveUpAt(time: number): void {
    this.#giveUpAt = time;
  }

  /** Writes something with those of its group. */
  add(item: Recordable): void {
    const count = this.#waiting.push(item);
    if (count === 1) {
      const now = this.#options.clock.monotonic();
      this.#notBefore = Math.max(this.#notBefore, now + GROUP_DELAY_MS);
    }
    if (count >= GROUP_ROWS) this.#full.abort();
    this.#writing ??= this.#write();
  }

  /**
   * Applies a transition with those of its group.
   *
   * @throws {DatabaseError} where the store can't be written until the time to
   * give up.
   */
  record(transition: Transition): Promise<RecordResult> {
    return new Promise((written, failed) =>
      this.add({ transition, written, failed })
    );
  }

  async #write(): Promise<void> {
    const { clock } = this.#options;
    await clock.sleep(this.#notBefore - clock.monotonic(), this.#full.signal);
    // What waits for the store behind the last group has its turn first: then a
    // large one is prepared while the store is at work.
    if (this.#waiting.length >= BUSY_ROWS) await nextTurn();
    const group = this.#waiting;
    this.#waiting = [];
    this.#takenCount += group.length;
    this.#full = new AbortController();
    const isBusy = group.length >= BUSY_ROWS;
    this.#notBefore = isBusy ? clock.monotonic() + BUSY_GROUP_MS : 0;
    let tell: (item: Recordable, index: number) => void | Promise<void>;
    try {
      const results = await this.#writeGroup(group);
      tell = (item, index) => item.written(results[index] ?? NOT_APPLIED);
    } catch (error) {
      tell = (item) => item.failed(error);
    }
    this.#writing = this.#waiting.length > 0 ? this.#write() : undefined;
    this.#telling = this.#telling.then(() => this.#tell(group, tell));
  }

  /** Meanwhile, the next group is written. */
  async #tell(
    group: readonly Recordable[],
    tell: (item: Recordable, index: number) => void | Promise<void>,
  ): Promise<void> {
    for (const [index, item] of group.entries()) {
      if (index % TOLD_PER_TURN === TOLD_PER_TURN - 1) await nextTurn();
      // Mostly it returns nothing, and then there is nothing to wait for.
      const told = tell(item, index);
      if (told) await told;
      this.#takenCount--;
    }
  }

  async #writeGroup(
    group: readonly Recordable[],
  ): Promise<readonly RecordResult[]> {
    const transitions = group.map(({ transition }) => transition);
    const { store, clock, log } = this.#options;
    for (let attempt = 1;; attempt++) {
      try {
        const results = await store.record(transitions, clock.now());
        this.#options.onCommit?.(group.length);
        return results;
      } catch (error) {
        const isLate = clock.monotonic() >= this.#giveUpAt;
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
