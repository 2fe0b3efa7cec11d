/**
 * The slots of a runner: how many runs there may be, and which is next. Holds runs
 * that are not begun only while that can't be noticed.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { nextTurn } from "../base/event_loop.ts";
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
  /** Gives back runs that were held and not begun. */
  readonly giveBack: (runs: readonly Run[]) => void;
}

/** A run that took longer than this took time: none is held for such ones. */
const NO_TIME_MS = 10;
/** What was not begun within this time is given back. */
const HELD_MS = 500;
/**
 * The most runs that are held, whatever their speed. At 50,000 tasks a second they
 * start within a fifth of a second.
 */
const MOST_HELD = 15_000;
/**
 * Runs that start in one turn of the event loop. Ones that take no time would
 * otherwise keep the store's answers, timers and signals waiting.
 */
const STARTS_PER_TURN = 50;

/** Fills slots with runs. */
export class Slots {
  readonly #options: SlotsOptions;
  #held: { readonly run: Run; readonly until: number }[] = [];
  #running = 0;
  #ahead = 0;
  #startsLeft = STARTS_PER_TURN;
  #timing: Promise<void> | undefined;
  readonly #stopped = new AbortController();
  #change = Promise.withResolvers<void>();

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
    return this.#held.length > this.#ahead / 2 ? 0 : Math.max(0, room);
  }

  /** Resolves when a slot is free, or what is held has become less. */
  get changed(): Promise<void> {
    return this.#change.promise;
  }

  /** Takes what was claimed: the first ones start at once, the rest in turn. */
  add(runs: readonly Run[]): void {
    const until = this.#options.clock.monotonic() + HELD_MS;
    for (const run of runs) this.#held.push({ run, until });
    this.#start();
    if (this.#held.length > 0) this.#timing ??= this.#giveBackInTime();
  }

  /** Starts no more, and gives back what is held. */
  stop(): void {
    this.#stopped.abort();
    this.#giveBack(() => true);
    this.#tell();
  }

  #start(): void {
    while (
      this.#running < this.#options.concurrency && !this.#stopped.signal.aborted
    ) {
      if (this.#startsLeft === 0) return;
      const next = this.#held.shift();
      if (!next) break;
      if (this.#startsLeft-- === STARTS_PER_TURN) {
        nextTurn().then(() => {
          this.#startsLeft = STARTS_PER_TURN;
          this.#start();
        });
      }
      this.#execute(next.run);
    }
  }

  #execute(run: Run): void {
    this.#running++;
    this.#options.execute(run, (runMs) => {
      this.#running--;
      this.#ahead = runMs > NO_TIME_MS
        ? Math.floor(this.#ahead / 2)
        : Math.min(this.#ahead + 2, MOST_HELD);
      this.#start();
      this.#tell();
    });
  }

  #tell(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }

  /** The mean of past runs is no promise about the next one. */
  async #giveBackInTime(): Promise<void> {
    const { clock } = this.#options;
    for (let [first] = this.#held; first; [first] = this.#held) {
      await clock.sleep(first.until - clock.monotonic(), this.#stopped.signal);
      const now = clock.monotonic();
      this.#giveBack(({ run, until }) => until <= now && !run.isBegun);
      if (this.#held[0] === first) break;
    }
    this.#timing = undefined;
  }

  #giveBack(isOver: (held: { run: Run; until: number }) => boolean): void {
    const { true: over = [], false: rest = [] } = Object.groupBy(
      this.#held,
      (it) => `${isOver(it)}` as const,
    );
    if (over.length === 0) return;
    this.#held = rest;
    this.#ahead = 0;
    this.#options.giveBack(over.map(({ run }) => run));
    this.#tell();
  }
}
