/**
 * What the HTTP API reads of a store, beyond single tasks: pages, counts over
 * time, and the events of all tasks in their order.
 *
 * @module
 */

import type { AgentTask, TaskEvent, TaskState } from "../task/task.ts";

/** A place in the list of tasks; the next page begins after it. */
export interface PageCursor {
  /** Microseconds since 1970. */
  readonly createdAtUs: number;
  readonly id: string;
}

/** Options for {@linkcode TaskFeed.page}. */
export interface PageOptions {
  /** At most so many. */
  readonly limit: number;
  readonly states?: readonly TaskState[];
  readonly provider?: string;
  /**
   * Only tasks that have this text in their instruction or target, in any case,
   * or whose id begins with it.
   */
  readonly text?: string;
  readonly after?: PageCursor;
}

/** A page of tasks, newest first. */
export interface TaskPage {
  /**
   * Long instructions are cut to {@linkcode MAX_LISTED_TEXT} characters, and
   * long traces left out.
   */
  readonly tasks: readonly AgentTask[];
  /** Undefined where this is the last page. */
  readonly next: PageCursor | undefined;
  /** How many there are on all pages. */
  readonly total: number;
}

/** The most characters of an instruction on a page. */
export const MAX_LISTED_TEXT = 1_000;

/** How many tasks of one provider are in one state. */
export interface StateCount {
  readonly provider: string;
  readonly state: TaskState;
  readonly count: number;
}

/** What there is in the store now. */
export interface TaskCounts {
  readonly counts: readonly StateCount[];
  /** Tasks that could be claimed now. */
  readonly waiting: number;
  /** Since when the one that waits longest could be claimed. */
  readonly waitingSince: Date | null;
  /** Tasks with a live lease. */
  readonly inFlight: number;
}

/** Options for {@linkcode TaskFeed.series}. */
export interface SeriesOptions {
  readonly start: Date;
  readonly bucketMs: number;
  readonly buckets: number;
}

/** What happened in one bucket of time. */
export interface Bucket {
  readonly created: number;
  readonly started: number;
  readonly completed: number;
  /** Cancelled ones not included. */
  readonly failed: number;
  readonly cancelled: number;
  readonly retried: number;
  /** From the creation of a task to its first start. Null: none started. */
  readonly wait: Percentiles | null;
  /** From the start of a run to its end. Null: none ended. */
  readonly run: Percentiles | null;
}

/** In milliseconds. */
export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
}

/** Options for {@linkcode TaskFeed.eventsAfter}. */
export interface EventsAfterOptions {
  readonly limit: number;
  /** Only those of this task. */
  readonly taskId?: string;
}

/** Reads a store for many who watch. */
export interface TaskFeed {
  /** Tasks, newest first. */
  page(options: PageOptions): Promise<TaskPage>;
  counts(now: Date): Promise<TaskCounts>;
  /** What happened over time, from the history. */
  series(options: SeriesOptions): Promise<Bucket[]>;
  /** The events of all tasks whose id is higher, lowest first. */
  eventsAfter(id: number, options: EventsAfterOptions): Promise<TaskEvent[]>;
  /** The highest event's id; 0 where there is none. */
  lastEventId(): Promise<number>;
  /**
   * A text that changes with every commit, be it this process's or another's.
   * Costs next to nothing: nothing is opened.
   */
  version(): string;
  /**
   * To be called after a change by somebody else than the runner in this
   * process: its store counts it as a change by another process.
   */
  announceChange(): void;
  /** Calls `listener` whenever the store was let go of, for others to have. */
  onRelease(listener: (heldMs: number) => void): void;
}
