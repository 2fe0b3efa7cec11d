/**
 * A DuckDB store and its clock, for tests that say when things happen.
 *
 * @module
 */

import { assert } from "@std/assert";
import { newTasks, type Store } from "../../../lib/store/contract.ts";
import {
  type DuckDbStoreOptions,
  openDuckDbStore,
} from "../../../lib/store/duckdb/store.ts";
import type { ClaimedTask, NewTask } from "../../../lib/task/task.ts";
import { complete, fail } from "../../../lib/task/transitions.ts";
import { FakeClock } from "../../support/fake_clock.ts";

const START_MS = Date.UTC(2026, 0, 1, 12);

/** Seconds after the start of the tests' time. */
export function at(seconds: number): Date {
  return new Date(START_MS + seconds * 1_000);
}

/** Somebody. */
export const USER = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";

/** When a task is created, started and ended, in seconds. */
export interface Run {
  readonly provider?: string;
  readonly createdAt?: number;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly error?: string;
}

/** A store whose time is set by its tests. */
export class TimedStore implements AsyncDisposable {
  readonly store: Store;
  readonly #clock: FakeClock;

  private constructor(store: Store, clock: FakeClock) {
    this.store = store;
    this.#clock = clock;
  }

  static async open(
    path = ":memory:",
    options: DuckDbStoreOptions = {},
  ): Promise<TimedStore> {
    const clock = new FakeClock({ start: at(0) });
    const store = await openDuckDbStore(path, { clock, ...options });
    return new TimedStore(store, clock);
  }

  /** Sets the store's time. */
  setTo(seconds: number): void {
    this.#clock.jump(at(seconds).getTime() - this.#clock.now().getTime());
  }

  /** Creates tasks now. Returns their ids. */
  async create(...tasks: readonly Partial<NewTask>[]): Promise<string[]> {
    const ids = await this.store.admin.create(
      newTasks(
        tasks.map((task) => ({ userId: USER, provider: "claude", ...task })),
      ),
    );
    return [...ids.sets()].flat();
  }

  /** Claims and begins whatever may be. */
  async claim(
    { limit = 100_000, leaseMs = 60_000 }: {
      readonly limit?: number;
      readonly leaseMs?: number;
    } = {},
  ): Promise<readonly ClaimedTask[]> {
    const { tasks } = await this.store.queue.claim({
      owner: "runner",
      limit,
      leaseMs,
      maxAttempts: 3,
      isIdle: true,
    });
    return tasks;
  }

  /** Creates and claims a task at these seconds; nothing else may be claimable. */
  async start(
    { provider = "claude", createdAt = 0, startedAt }: Omit<Run, "endedAt">,
  ): Promise<ClaimedTask> {
    this.setTo(createdAt);
    await this.create({ provider });
    this.setTo(startedAt);
    const [claimed] = await this.claim({ limit: 1, leaseMs: 1e9 });
    assert(claimed);
    return claimed;
  }

  /** Creates, runs and ends a task at these seconds. Returns its id. */
  async runTask({ endedAt, error, ...run }: Run): Promise<string> {
    const claimed = await this.start(run);
    this.setTo(endedAt);
    await this.store.queue.record([
      error === undefined ? complete(claimed) : fail(claimed, error),
    ]);
    return claimed.task.id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store[Symbol.asyncDispose]();
  }
}
