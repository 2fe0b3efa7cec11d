/**
 * What people ask of many tasks at once.
 *
 * @module
 */

import type { IdList } from "./id_list.ts";
import type { AnswerResult, CancelResult } from "./contract.ts";
import type { NewTask, TaskState } from "../task/task.ts";

/** New tasks that come set by set, so that not all are held at once. */
export interface IncomingTasks {
  /** How many they are. */
  readonly count: number;
  /** Begins with the first set, each time that it is called. */
  sets(): Iterable<readonly NewTask[]> | AsyncIterable<readonly NewTask[]>;
}

/** Tasks that are there already. */
export function oneSetOf(tasks: readonly NewTask[]): IncomingTasks {
  return { count: tasks.length, sets: () => [tasks] };
}

/** Chooses tasks by what they have in common. */
export interface TaskFilter {
  readonly states?: readonly TaskState[];
  readonly provider?: string;
}

/** A task that was chosen. */
export interface ChosenTask {
  readonly id: string;
  readonly state: TaskState;
}

/** Why a task can't be retried. */
export type RetryRefusal =
  /** There is no such task. */
  | "missing"
  /** It has not run yet. */
  | "created"
  /** A runner works on it. */
  | "running"
  /** It is claimed at once by any runner. */
  | "claimable"
  /** It waits for an answer. */
  | "needs_input"
  /** Its runner is to stop it. */
  | "cancelling"
  /** Another program gave it a state that nobody here knows. */
  | "unknown state";

/** What came of retrying one task. */
export type RetryResult =
  /** It had ended: a new task has the same content. */
  | {
    readonly kind: "created";
    readonly newId: string;
    /** The task that an earlier retry made. */
    readonly earlierId: string | null;
  }
  /** It waited for its next attempt, which is due now. */
  | { readonly kind: "due" }
  | { readonly kind: "refused"; readonly why: RetryRefusal };

/**
 * Works on many tasks at once. Each method is one transaction, or one for each
 * ten thousand tasks (of answers, 16 million characters), so that others get
 * their turn.
 */
export interface TaskSets {
  /**
   * Adds tasks, all or none. Returns their ids in the same order.
   *
   * @throws {DuplicateIdError} where there is a task with one of the ids already.
   */
  create(tasks: IncomingTasks, now: Date): Promise<IdList>;
  /** Tasks that have not ended, oldest first. */
  findOpen(filter: TaskFilter): Promise<ChosenTask[]>;
  /**
   * Tasks that can be retried, oldest first: those that ended and were not
   * retried before, and those that wait for their next attempt.
   */
  findRetryable(filter: TaskFilter, now: Date): Promise<ChosenTask[]>;
  /** Cancels tasks. Returns what came of each, in their order. */
  cancel(ids: readonly string[], now: Date): Promise<CancelResult[]>;
  /**
   * Gives the same answer to tasks that wait for one. Returns what came of each,
   * in their order.
   */
  answer(
    ids: readonly string[],
    text: string,
    now: Date,
  ): Promise<AnswerResult[]>;
  /**
   * Runs tasks again: what ended as a new task, what waits for its next attempt
   * at once. No id may be there twice. Returns what came of each, in their order.
   */
  retry(ids: readonly string[], now: Date): Promise<RetryResult[]>;
}

/** Works on many ids, so many at a time. Returns the results in their order. */
export async function inSets<T>(
  ids: readonly string[],
  size: number,
  work: (set: string[]) => Promise<T[]>,
): Promise<T[]> {
  const results: T[] = [];
  for (let start = 0; start < ids.length; start += size) {
    const set = ids.slice(start, start + size);
    for (const result of await work(set)) results.push(result);
  }
  return results;
}
