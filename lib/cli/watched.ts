/**
 * A store that is watched: looked at where it changed, and seldom enough that
 * nobody has to wait for it.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { DatabaseError } from "../base/errors.ts";
import type { Overview, TaskHistory } from "../store/history.ts";
import type { TaskStore } from "../store/contract.ts";
import { RECENT_SECONDS } from "./watch_report.ts";

/** What is watched. */
export interface WatchedStore extends Pick<TaskStore, "changeCount"> {
  readonly history: Pick<TaskHistory, "overview">;
}

/** More tasks fit on few screens. */
const SHOWN_TASKS = 100;
/** A tenth of the time is spent looking, unless a look takes very long. */
const REST_FACTOR = 9;
const MAX_REST_MS = 5_000;

/** The last look at a store. */
export class Watched {
  readonly #store: WatchedStore;
  readonly #clock: Clock;
  #changeCount: number | undefined;
  #restUntil = 0;
  #overview: Overview | undefined;
  #problem: string | undefined;

  constructor(store: WatchedStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Undefined before the first look. */
  get overview(): Overview | undefined {
    return this.#overview;
  }

  /** Why the last look came to nothing. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /**
   * Looks, unless nothing has changed since or the last look has just been.
   * Returns whether something may be new.
   */
  async look(): Promise<boolean> {
    const startedAt = this.#clock.monotonic();
    if (startedAt < this.#restUntil) return false;
    if (await this.#store.changeCount() === this.#changeCount) return false;
    try {
      this.#overview = await this.#store.history.overview({
        now: this.#clock.now(),
        limit: SHOWN_TASKS,
        recentMs: RECENT_SECONDS * 1_000,
      });
      this.#problem = undefined;
      // What the look itself found changed is seen now.
      this.#changeCount = await this.#store.changeCount();
      const endedAt = this.#clock.monotonic();
      const restMs = REST_FACTOR * (endedAt - startedAt);
      this.#restUntil = endedAt + Math.min(restMs, MAX_REST_MS);
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error;
      this.#problem = error.message;
    }
    return true;
  }
}
