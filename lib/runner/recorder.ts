/**
 * Writes what comes of runs in groups: one commit for all that ended within a few
 * milliseconds.
 *
 * @module
 */

import { backoffMs } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import { DatabaseError, messageOf } from "../base/errors.ts";
import { countOf } from "../base/figures.ts";
import { nextTick } from "../base/event_loop.ts";
import type { Log } from "../base/log.ts";
import type { Queue } from "../store/contract.ts";
import type { Transition } from "../task/task.ts";

/** How long the first of a group waits for others. */
const GROUP_DELAY_MS = 5;
/**
 * How long after one of at least `BUSY_ROWS` the next group begins. A commit
 * takes its time however few its rows: a busy runner makes fewer, larger ones.
 */
const BUSY_GROUP_MS = 120;
const BUSY_ROWS = 100;
/** A group of this size is written at once. */
const GROUP_ROWS = 20_000;
/** How long outcomes have to be written when the runner is to stop at once. */
const ABANDON_MS = 500;
/** So many are told in one go; then timers and signals have theirs. */
const TOLD_AT_ONCE = 200;

/**
 * What came of a transition: it is committed, its lease was lost, or it can't be
 * written.
 */
export type RecordResult = "written" | "lost" | Error;

interface Entry {
  readonly transition: Transition;
  readonly done: (result: RecordResult, at: Date) => void;
}

interface Written {
  readonly at: Date;
  readonly results: readonly RecordResult[];
}

/** Options for {@linkcode Recorder}. */
export interface RecorderOptions {
  readonly queue: Pick<Queue, "record">;
  readonly clock: Clock;
  readonly log: Log;
  /** Called after each commit. */
  readonly onCommit?: (rows: number) => void;
  /** Called where what waited for tasks that have ended may be claimed now. */
  readonly onUnblocked?: () => void;
}

/** Groups transitions and writes them in their order. */
export class Recorder {
  readonly #options: RecorderOptions;
  readonly #abandoned = new AbortController();
  #waiting: Entry[] = [];
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

  /**
   * Until then, in the clock's monotonic time, a write that fails is tried again.
   * For ever, before this is called: the work is done, and the lease decides
   * whether it still counts.
   */
  giveUpAt(time: number): void {
    this.#giveUpAt = Math.min(this.#giveUpAt, time);
  }

  /** Aborts when nothing of the runner waits for the store any more. */
  get abandoned(): AbortSignal {
    return this.#abandoned.signal;
  }

  /**
   * Abandons what is not written within half a second, unless `done` aborts before.
   * To be called when all work is over: what comes later may not be written.
   */
  async abandonSoon(done?: AbortSignal): Promise<void> {
    await this.#options.clock.sleep(ABANDON_MS, done);
    if (!done?.aborted) this.abandon();
  }

  /** Ends the wait for the store: what can't be written at once is given up. */
  abandon(): void {
    this.giveUpAt(this.#options.clock.monotonic());
    this.#abandoned.abort();
    this.#full.abort();
  }

  /** Writes a transition with those of its group; `done` is told what came of it. */
  add(transition: Transition, done: Entry["done"]): void {
    const count = this.#waiting.push({ transition, done });
    if (count === 1) {
      const now = this.#options.clock.monotonic();
      this.#notBefore = Math.max(this.#notBefore, now + GROUP_DELAY_MS);
    }
    if (count >= GROUP_ROWS) this.#full.abort();
    this.#writing ??= this.#write();
  }

  /** The same as {@linkcode Recorder.add}. */
  record(transition: Transition): Promise<RecordResult> {
    return new Promise((resolve) => this.add(transition, resolve));
  }

  async #write(): Promise<void> {
    const { clock } = this.#options;
    await clock.sleep(this.#notBefore - clock.monotonic(), this.#full.signal);
    // What waits for the store behind the last group has its turn first.
    if (this.#waiting.length >= BUSY_ROWS) await nextTick();
    const group = this.#waiting;
    this.#waiting = [];
    this.#takenCount += group.length;
    this.#full = new AbortController();
    const isBusy = group.length >= BUSY_ROWS;
    this.#notBefore = isBusy ? clock.monotonic() + BUSY_GROUP_MS : 0;
    const { at, results } = await this.#writeGroup(group);
    this.#writing = this.#waiting.length > 0 ? this.#write() : undefined;
    this.#telling = this.#telling.then(async () => {
      // Meanwhile, the next group is written.
      for (const [index, { done }] of group.entries()) {
        if (index % TOLD_AT_ONCE === TOLD_AT_ONCE - 1) await nextTick();
        done(results[index] ?? "lost", at);
        this.#takenCount--;
      }
    });
  }

  /** All at once, or those that the store can't take apart from the others. */
  async #writeGroup(group: readonly Entry[]): Promise<Written> {
    const { queue, clock, log } = this.#options;
    const transitions = group.map(({ transition }) => transition);
    const { signal } = this.#abandoned;
    for (let attempt = 1;; attempt++) {
      try {
        const recorded = await queue.record(transitions, { signal });
        this.#options.onCommit?.(group.length);
        if (recorded.hasUnblocked) this.#options.onUnblocked?.();
        return recorded;
      } catch (thrown) {
        const error = thrown instanceof Error
          ? thrown
          : new Error(messageOf(thrown));
        const isDefect = !(error instanceof DatabaseError);
        if (isDefect && group.length > 1) return await this.#writeHalves(group);
        if (isDefect || clock.monotonic() >= this.#giveUpAt) {
          return { at: clock.now(), results: group.map(() => error) };
        }
        const waitMs = backoffMs(attempt, { baseMs: 100, maxMs: 5_000 });
        log.warning(
          `Cannot record ${
            countOf(group.length, "outcome")
          } yet: ${error.message} ` +
            `Next try in ${Math.round(waitMs)} ms.`,
          {
            event: "record_delayed",
            count: group.length,
            error: error.message,
          },
        );
        await clock.sleep(waitMs, signal);
      }
    }
  }

  /** One of them is what the store fails at: the others must not fall with it. */
  async #writeHalves(group: readonly Entry[]): Promise<Written> {
    const middle = Math.ceil(group.length / 2);
    const first = await this.#writeGroup(group.slice(0, middle));
    const { at, results } = await this.#writeGroup(group.slice(middle));
    return { at, results: [...first.results, ...results] };
  }
}
