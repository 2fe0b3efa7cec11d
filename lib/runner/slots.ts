/**
 * The slots of a runner: how many runs there may be, and which is next. Holds runs
 * that are not begun only while that can't be noticed.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { nextTick } from "../base/event_loop.ts";
import type { Run } from "./runs.ts";

/** Options for {@linkcode Slots}. */
export interface SlotsOptions {
  /** How many runs there may be at the same time. */
  readonly concurrency: number;
  readonly clock: Clock;
  /**
   * Executes a run, and calls `onOver` with the milliseconds that it took when
   * another may start.
   */
  readonly execute: (run: Run, onOver: (runMs: number) => void) => void;
  /** Gives back runs that were held and not executed. */
  readonly giveBack: (runs: readonly Run[], why: string) => void;
}

/** A run that took longer than this took time: none is held for such ones. */
const NO_TIME_MS = 50;
/** What was not begun within this time is given back. */
export const HELD_MS = 500;
/** The most runs that are held: no more start within that time, */
const MOST_HELD = 15_000;
/** and with runs that took longer than this, only what half that time has room for. */
const INSTANT_MS = 10;
/**
 * Runs that start in one turn of the event loop. Ones that take no time would
 * otherwise keep the store's answers, timers and signals waiting.
 */
const STARTS_PER_TICK = 50;

/** Fills slots with runs. */
export class Slots {
  readonly #options: SlotsOptions;
  /** The next one is the last: taken from the front, each moves all others. */
  #held: Run[] = [];
  #running = 0;
  #ahead = 0;
  #startsLeft = STARTS_PER_TICK;
  readonly #stopped = new AbortController();
  readonly #change = new Change();

  constructor(options: SlotsOptions) {
    this.#options = options;
  }

  /** Slots that no run has or waits for. */
  get free(): number {
    const taken = this.#running + this.#held.length;
    return Math.max(0, this.#options.concurrency - taken);
  }

  /** Nothing runs, and nothing is held. */
  get isIdle(): boolean {
    return this.#running === 0 && this.#held.length === 0;
  }

  /** How many runs may be held beside those that start at once. */
  get ahead(): number {
    const room = this.#ahead - this.#held.length;
    return room < this.#ahead / 2 ? 0 : room;
  }

  /** Resolves when a slot is free, or what is held has become less. */
  get changed(): Promise<void> {
    return this.#change.next;
  }

  /**
   * Takes what was claimed: the first ones start at once, the rest in turn. What
   * has not by {@linkcode HELD_MS} is given back: the speed of past runs is no
   * promise about the next one.
   */
  add(runs: readonly Run[]): void {
    this.#held = [...runs.toReversed(), ...this.#held];
    const { signal } = this.#stopped;
    if (signal.aborted) return this.#giveBack(runs);
    this.#start();
    if (this.#held.length === 0) return;
    this.#options.clock.sleep(HELD_MS, signal).then(() =>
      this.#giveBack(runs.filter(({ isBegun }) => !isBegun))
    );
  }

  /** Gives back what is held of a provider: it may not start any more. */
  giveBackOf(provider: string): void {
    this.#giveBack(
      this.#held.filter(({ task }) => task.provider === provider),
      "The limit of its provider was reached",
    );
  }

  /** There is something to claim: it is as if a slot had become free. */
  lookAgain(): void {
    this.#change.tell();
  }

  /** Starts no more, and gives back what is held. */
  stop(): void {
    this.#stopped.abort();
    this.#giveBack(this.#held);
    this.#change.tell();
  }

  #start(): void {
    while (
      this.#running < this.#options.concurrency && !this.#stopped.signal.aborted
    ) {
      if (this.#startsLeft === 0) return;
      const next = this.#held.pop();
      if (!next) break;
      if (this.#startsLeft-- === STARTS_PER_TICK) {
        nextTick().then(() => {
          this.#startsLeft = STARTS_PER_TICK;
          this.#start();
        });
      }
      this.#execute(next);
    }
  }

  #execute(run: Run): void {
    this.#running++;
    this.#options.execute(run, (runMs) => {
      this.#running--;
      this.#ahead = runMs > NO_TIME_MS
        ? Math.floor(this.#ahead / 2)
        : Math.min(this.#ahead + 2, this.#roomFor(runMs));
      this.#start();
      this.#change.tell();
    });
  }

  #roomFor(runMs: number): number {
    return runMs <= INSTANT_MS
      ? MOST_HELD
      : Math.floor(this.#options.concurrency * HELD_MS / 2 / runMs);
  }

  #giveBack(runs: readonly Run[], why = "The runner was stopped"): void {
    const unwanted = new Set(runs);
    const { over = [], rest = [] } = Object.groupBy(
      this.#held,
      (run) => unwanted.has(run) ? "over" : "rest",
    );
    if (over.length === 0) return;
    this.#held = rest;
    this.#ahead = 0;
    this.#options.giveBack(over.toReversed(), why);
    this.#change.tell();
  }
}

/** Something that changes again and again. */
export class Change {
  #next = Promise.withResolvers<void>();

  /** Resolves with the next change: the same promise until then. */
  get next(): Promise<void> {
    return this.#next.promise;
  }

  tell(): void {
    this.#next.resolve();
    this.#next = Promise.withResolvers();
  }
}
