/**
 * Sees to it that schedules make their tasks, beside a runner. Any number may do it:
 * the store lets each slot be taken once.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { Wake } from "../base/wake.ts";
import type { Queue, Schedules } from "../store/contract.ts";
import { fileIn } from "./definition.ts";
import type { FileSchedules } from "./file_schedules.ts";
import type { ScheduledTasks } from "./tasks.ts";

/** Options for {@linkcode Scheduler}. */
export interface SchedulerOptions {
  readonly schedules: Schedules;
  readonly queue: Pick<Queue, "onChange">;
  readonly clock: Clock;
  readonly log: Log;
  /** Undefined where there is no configuration file. */
  readonly file?: FileSchedules | undefined;
}

/** The longest wait: after a clock was set, nobody knows what becomes due. */
const LONGEST_MS = 60_000;
/** The shortest: how often the store is asked where it changes all the time. */
const LEAST_MS = 1_000;
/** The same where no slot is waited for. */
const IDLE_MS = 10_000;
/** The store's clock may be late by a moment. */
const SHORTEST_MS = 10;
/** Before it is tried again where the store could not be used. */
const AFTER_FAILURE_MS = 5_000;

/** Makes the tasks of slots. Dispose of it to stop it. */
export class Scheduler implements AsyncDisposable {
  readonly #options: SchedulerOptions;
  readonly #closed = new AbortController();
  readonly #change = new Wake();
  #subscription: Disposable | undefined;
  #running: Promise<void> | undefined;
  #file: FileSchedules | undefined;
  #tasks: ScheduledTasks | undefined;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#file = options.file;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscription?.[Symbol.dispose]();
    this.#closed.abort();
    this.#change.wake();
    await this.#running;
  }

  /** Makes what is due, now and whenever it is, until it is disposed of. */
  start(): void {
    const { queue } = this.#options;
    this.#subscription = queue.onChange(() => this.#change.wake());
    this.#running = this.#run();
  }

  /** Makes what is due. Returns how long until there is more, in milliseconds. */
  async makeDue(): Promise<number> {
    const { log } = this.#options;
    try {
      return await this.#makeDue();
    } catch (error) {
      if (!this.#closed.signal.aborted) {
        log.error(`Cannot look at schedules: ${messageOf(error)}`, {
          event: "schedule_failed",
          error: messageOf(error),
        });
      }
      return AFTER_FAILURE_MS;
    }
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#closed;
    while (!signal.aborted) {
      const dueMs = await this.makeDue();
      const waitMs = Math.min(Math.max(dueMs, SHORTEST_MS), LONGEST_MS);
      const leastMs = dueMs === Infinity ? IDLE_MS : LEAST_MS;
      const firstMs = Math.min(waitMs, leastMs);
      await clock.sleep(firstMs, signal);
      if (waitMs > firstMs) await this.#change.wait(clock, waitMs - firstMs);
    }
  }

  async #makeDue(): Promise<number> {
    const { schedules, log } = this.#options;
    const { signal } = this.#closed;
    let { schedules: all, at } = await schedules.list({ signal });
    const file = this.#file;
    // Only what has schedules loads what reads them.
    if (file?.given?.size || all.some(({ source }) => file && fileIn(source))) {
      const { putFileSchedules } = await import("./file_schedules.ts");
      await putFileSchedules(schedules, { ...file!, log });
      ({ schedules: all, at } = await schedules.list({ signal }));
    }
    this.#file = undefined;
    let nextMs = Infinity;
    for (const schedule of all) {
      this.#tasks ??= new (await import("./tasks.ts")).ScheduledTasks({
        schedules,
        log,
      });
      if (signal.aborted) break;
      const next = await this.#tasks.make(schedule, at);
      if (next) nextMs = Math.min(nextMs, next.getTime() - at.getTime());
    }
    return nextMs;
  }
}
