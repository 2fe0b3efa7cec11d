/**
 * What the commands ask of all tasks and of their history.
 *
 * @module
 */

import type { TaskState } from "../task/task.ts";
import type { TaskFilter } from "./task_sets.ts";

/** How many tasks of one provider are in one state. */
export interface ProviderCount {
  readonly provider: string;
  readonly state: TaskState;
  readonly count: number;
}

/** Milliseconds within which half, 95% and 99% of what was measured lie. */
export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** How long the tasks of a provider took. */
export interface ProviderTimes {
  /** Null for the tasks of all providers together. */
  readonly provider: string | null;
  /** From the creation of a task to its first start. Null: none was started. */
  readonly wait: Percentiles | null;
  /** From the last start of a task to its end. Null: none ended. */
  readonly run: Percentiles | null;
}

/** What happened in a part of the time. */
export interface Bucket {
  readonly created: number;
  readonly started: number;
  readonly completed: number;
  /** Cancelled ones not included. */
  readonly failed: number;
  readonly cancelled: number;
}

/** Tasks that failed for reasons that differ only in ids and numbers. */
export interface FailureReason {
  /** With `<id>` and `<n>` where those stood. */
  readonly reason: string;
  readonly count: number;
  /** The last such task. */
  readonly exampleId: string;
}

/** Options for {@linkcode TaskHistory.stats}. */
export interface StatsOptions {
  readonly start: Date;
  readonly bucketMs: number;
  readonly buckets: number;
  /** How many reasons of failures at most. */
  readonly reasons: number;
}

/** Figures about a time, and about what there is now. */
export interface Stats {
  /** Of all tasks, whenever they were made. */
  readonly counts: readonly ProviderCount[];
  readonly buckets: readonly Bucket[];
  readonly times: readonly ProviderTimes[];
  /** The most frequent first. */
  readonly failures: readonly FailureReason[];
}

/** A task as the live view shows it. */
export interface ShownTask {
  readonly id: string;
  readonly provider: string;
  readonly instruction: string | null;
  readonly state: TaskState;
  readonly traceText: string | null;
  /** When its last run was started; null where the history does not say. */
  readonly startedAt: Date | null;
  readonly leaseExpiresAt: Date | null;
  readonly updatedAt: Date;
}

/** What there is now. */
export interface Overview {
  readonly counts: Partial<Record<TaskState, number>>;
  /** Tasks with a live lease, the one that runs longest first. */
  readonly running: readonly ShownTask[];
  /** Those that are not shown among `running` included. */
  readonly runningCount: number;
  /** The last that ended, latest first. */
  readonly ended: readonly ShownTask[];
  /** When tasks ended lately, by whole seconds since 1970. */
  readonly endedBySecond: ReadonlyMap<number, number>;
}

/** Options for {@linkcode TaskHistory.overview}. */
export interface OverviewOptions {
  readonly now: Date;
  /** How many running ones, and how many that ended, at most. */
  readonly limit: number;
  /** How far back `endedBySecond` goes. */
  readonly recentMs: number;
}

/** The forms that tasks are exported in. */
export const EXPORT_FORMATS = ["parquet", "csv", "jsonl"] as const;

/** One of {@linkcode EXPORT_FORMATS}. */
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** Options for {@linkcode TaskHistory.export}. */
export interface ExportOptions extends TaskFilter {
  /** Where to write; what is there is overwritten. */
  readonly path: string;
  readonly format: ExportFormat;
  /** The history instead of the tasks. */
  readonly events: boolean;
  /** Only what was created, or happened, at this time or later. */
  readonly since?: Date;
}

/** How much a {@linkcode TaskHistory.prune} deletes. */
export interface PruneCount {
  readonly tasks: number;
  readonly events: number;
  /** Tasks that are old too, but webhooks still wait for their events. */
  readonly kept: number;
}

/** How large the store is, in bytes. */
export interface StoreSize {
  readonly bytes: number;
  /** Of those, what is free for new tasks. */
  readonly freeBytes: number;
}

/** Answers questions about all tasks. */
export interface TaskHistory {
  stats(options: StatsOptions): Promise<Stats>;
  overview(options: OverviewOptions): Promise<Overview>;
  /** Writes tasks, or their history, to a file. Returns how many rows. */
  export(options: ExportOptions): Promise<number>;
  /** Counts what {@linkcode TaskHistory.prune} would delete. */
  countPrunable(before: Date): Promise<PruneCount>;
  /**
   * Deletes the tasks that ended before then, with their history, but for those
   * that webhooks still wait for.
   *
   * @throws {DatabaseError} where another table refers to one of them.
   */
  prune(before: Date): Promise<PruneCount>;
  /** Writes all that is committed into the file itself, and measures that. */
  checkpoint(): Promise<StoreSize>;
}
