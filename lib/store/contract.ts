/**
 * What the runner and the commands need of a place that keeps tasks. No SQL, no
 * DuckDB type and no file path is part of it.
 *
 * @module
 */

import type {
  AgentTask,
  ClaimedTask,
  Lease,
  NewTask,
  TaskEvent,
  TaskState,
  Transition,
} from "../task/task.ts";

/** Stands for all the providers that a list does not name. */
export const OTHERS = "*";

/** Options for {@linkcode TaskStore.claim}. */
export interface ClaimOptions {
  /** How many tasks at most. */
  readonly limit: number;
  /** The runner's name. */
  readonly owner: string;
  readonly leaseMs: number;
  /** Claims of a task that sets no limit of its own. */
  readonly maxAttempts: number;
  readonly now: Date;
  /** Leases that ended by then are over. @default {now} */
  readonly leaseCutoff?: Date;
  /**
   * How many more tasks of these providers may be claimed; Infinity for any
   * number. {@linkcode OTHERS} is all the other providers together.
   */
  readonly providerRoom?: ReadonlyMap<string, number>;
  /** Only tasks of these providers. */
  readonly providers?: readonly string[];
  /** Only this task, even before its `runAt`. */
  readonly taskId?: string;
}

/** What came of a {@linkcode TaskStore.claim}. */
export interface ClaimResult {
  /** In the order in which they are to run. */
  readonly claimed: readonly ClaimedTask[];
  /**
   * What was ended instead: tasks whose runner died at every attempt, or died
   * before it saw that they were cancelled, and those that nobody answered.
   */
  readonly ended: readonly Transition[];
}

/** Options for {@linkcode TaskStore.preview}. */
export type PreviewOptions =
  & Pick<ClaimOptions, "limit" | "now" | "maxAttempts" | "providers">
  & { readonly leaseCutoff?: Date };

/** What a claim would do, without doing it. */
export interface Preview {
  /** What would be claimed, in its order: at most as many as the limit. */
  readonly claimable: readonly AgentTask[];
  readonly claimableCount: number;
  /** What has not ended and would not be claimed: again at most the limit. */
  readonly others: readonly AgentTask[];
  readonly othersCount: number;
}

/** Options for {@linkcode TaskStore.list}. */
export interface ListOptions {
  readonly states?: readonly TaskState[];
  readonly provider?: string;
  readonly limit: number;
  /** Leaves out so many, the newest. @default {0} */
  readonly offset?: number;
}

/** What a {@linkcode TaskStore.heartbeat} found out about the leases in hand. */
export interface HeartbeatResult {
  /** Ids of the tasks whose lease this run still holds. */
  readonly held: ReadonlySet<string>;
  /** Ids of those among them that somebody wants cancelled. */
  readonly cancelled: ReadonlySet<string>;
}

/** What came of cancelling one task. */
export type CancelResult =
  /** Nobody worked on it: it is failed now. */
  | "cancelled"
  /** Its runner stops it within seconds. */
  | "requested"
  /** It had ended already. */
  | "ended"
  /** Another program gave it a state that nobody here knows. */
  | "unknown state"
  /** There is no such task. */
  | "missing";

/** What came of answering one task's question. */
export type AnswerResult =
  /** It goes on with the answer, at its next claim. */
  | "answered"
  /** It does not wait for an answer. */
  | "not asked"
  /** It has ended. */
  | "ended"
  /** There is no such task. */
  | "missing";

/** What came of one transition given to {@linkcode TaskStore.record}. */
export interface RecordResult {
  /** False means that the lease was lost: nothing was written. */
  readonly applied: boolean;
  /** The trace as it is stored now; as it was given where nothing was written. */
  readonly traceText: string | null;
}

/** Keeps tasks. Every method is one transaction. */
export interface TaskStore extends AsyncDisposable {
  /** Adds tasks, all or none. Returns their ids in the same order. */
  create(tasks: readonly NewTask[], now: Date): Promise<string[]>;
  get(id: string): Promise<AgentTask | undefined>;
  /** Tasks whose id begins with `prefix`, at most `limit`. */
  findByPrefix(prefix: string, limit: number): Promise<AgentTask[]>;
  /** Newest first. */
  list(options: ListOptions): Promise<AgentTask[]>;
  /** How many tasks there are in each state that occurs. */
  countByState(): Promise<Partial<Record<TaskState, number>>>;
  /** A task's history, oldest first. */
  events(taskId: string): Promise<TaskEvent[]>;
  /**
   * Leases up to `limit` claimable tasks: higher priority first, then oldest
   * first. Claimable is what is `created`, or `running` without a live lease,
   * and whose `runAt` has come. A question that was not answered in time fails
   * its task.
   */
  claim(options: ClaimOptions): Promise<ClaimResult>;
  /** What {@linkcode TaskStore.claim} would do. Changes nothing. */
  preview(options: PreviewOptions): Promise<Preview>;
  /** Cancels a task. */
  cancel(id: string, now: Date): Promise<CancelResult>;
  /** Answers the question of a task that is `needs_input`. */
  answer(id: string, answer: string, now: Date): Promise<AnswerResult>;
  /** Deletes the history of tasks that ended before then. Returns how many rows. */
  pruneEvents(before: Date): Promise<number>;
  /** When the next task will be claimable, or its question too old; null: never. */
  nextDueAt(now: Date): Promise<Date | null>;
  /** Renews leases. */
  heartbeat(
    leases: readonly Lease[],
    expiresAt: Date,
  ): Promise<HeartbeatResult>;
  /** Applies fenced transitions. Returns what came of each, in their order. */
  record(
    transitions: readonly Transition[],
    now: Date,
  ): Promise<readonly RecordResult[]>;
  /**
   * How often anybody else was found to have changed the store. Two equal counts
   * mean that nobody did meanwhile. Costs next to nothing.
   */
  changeCount(): Promise<number>;
}
