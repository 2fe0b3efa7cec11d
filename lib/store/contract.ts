/**
 * What a place that keeps tasks must do, in small interfaces, each for one kind of
 * caller. No SQL, no path, no dialect is part of it. One suite, in
 * `tests/store/conformance/`, runs against every store and says the rest.
 *
 * The time is the store's: nobody tells it what time it is, and a moment is told
 * to it as a span from now. Every method is one transaction, unless it says
 * otherwise. What a text has that the store can't keep, half a character or, in
 * PostgreSQL, NUL, it keeps as U+FFFD. Every method throws a `DatabaseError` where the store can't be used.
 *
 * @module
 */

import type {
  AgentTask,
  Approval,
  ClaimedTask,
  IfFailed,
  JsonValue,
  Lease,
  NewTask,
  TaskEdit,
  TaskEvent,
  TaskEventKind,
  TaskResult,
  TaskState,
  Transition,
} from "../task/task.ts";
import type { Rate, TaskLimits } from "../task/limits.ts";
import type { LogLine } from "../task/run_log.ts";
import type { StateCounts } from "../task/batch.ts";
import type { ShownState } from "../task/shown_state.ts";
import type { Amendment } from "../task/workspace.ts";
import type { DatabaseError } from "../base/errors.ts";
import type { IdList } from "./id_list.ts";

export { IdList, type KeyResult } from "./id_list.ts";

/** A store. Dispose of it when nothing of it is in use. */
export interface Store extends AsyncDisposable {
  readonly queue: Queue;
  readonly admin: Admin;
  readonly events: Events;
  readonly outbox: Outbox;
  readonly schedules: Schedules;
  readonly archive: Archive;
}

/** Stands for all the providers that a list does not name. */
export const OTHERS = "*";

// ── queue: what a runner needs ──────────────────────────────────────────────

/** Hands out tasks, and takes what came of them. */
export interface Queue {
  /**
   * Leases claimable tasks: higher priority first, then oldest first. Claimable
   * is what is `created`, or `running` without a live lease, and whose `runAt`
   * has come; not what {@linkcode Queue.endAbandoned} ends.
   *
   * The first {@linkcode ClaimOptions.limit} are begun: `running`, with their
   * attempt spent and that in their history, before the processor is called. The
   * rest, up to {@linkcode ClaimOptions.ahead}, are held only: a lease, and
   * nothing else of the row changes.
   *
   * Of tasks whose `touches` may mean the same file of one repository, one at most has
   * a live lease: another one is not claimed then, and those behind it are. None of
   * them is held.
   *
   * Of what is paused, or held back by {@linkcode ClaimOptions.taskLimits} or
   * by what is in hand, there is none, unless {@linkcode ClaimOptions.taskId} names it.
   *
   * A task that a runner died with and that begins its last attempt is taken by
   * itself, by a runner with nothing in hand that claims no other until it is over:
   * others must not fall with it. A task
   * whose row can't be written is left out and told to `onProblem`.
   */
  claim(options: ClaimOptions): Promise<Claim>;
  /**
   * Ends what nobody will run again: tasks whose runner died at their last
   * attempt, those that were cancelled while their runner died, and questions that
   * nobody answered in time. Sets going what another program answered.
   */
  endAbandoned(options: EndOptions): Promise<readonly EndedTask[]>;
  /**
   * Renews leases. Says of each, in their order, what it is now: by lease, so that
   * an older run of the same task learns that it lost. Waits for nothing that goes
   * on in the store.
   *
   * @throws {DatabaseBusyError} where the store can't be used just now. With
   * {@linkcode DatabaseBusyError.keepsAllOut}, another program keeps everybody out
   * and no lease ends meanwhile: nobody can claim, and whoever comes in afterwards
   * gives those who could not renew the time to do it. Without, others may claim
   * meanwhile: each lease ends by the clock of who has it.
   */
  heartbeat(
    leases: readonly Lease[],
    options: { readonly leaseMs: number },
  ): Promise<readonly LeaseState[]>;
  /**
   * Applies transitions in their order, several of one task included. Each is
   * fenced: written only while its task has its lease and its state. One that the
   * store refuses takes no other with it. A {@linkcode Transition.limit} pauses its
   * provider; where one task was to try, any other end of it ends the pause.
   *
   * @param options.signal ends the wait for the store
   */
  record(
    transitions: readonly Transition[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<Recorded>;
  /**
   * Gives back what was held and not begun, as if it had never been claimed. What
   * was cancelled meanwhile stays so.
   */
  giveBack(leases: readonly Lease[]): Promise<void>;
  /**
   * How long until more becomes claimable, in milliseconds: what was due at
   * `since`, a {@linkcode Claim.at}, was seen by that claim. The end of a pause
   * counts, but not where it is asked for retries. Null: never.
   */
  untilDue(since: Date, options?: DueOptions): Promise<number | null>;
  /** What runs used that ended in the last so many milliseconds. */
  usage(sinceMs: number): Promise<UsageSum[]>;
  /** Pauses what is named; where it is for that kind already, that is replaced. */
  pause(target: PauseTarget, options: PauseOptions): Promise<void>;
  /**
   * Gives the tasks of a provider that wait to another one, some thousand at most.
   * Returns how many.
   */
  handOver(options: HandOverOptions): Promise<number>;
  /**
   * Says that a runner is here, and learns whether it is to drain. What was said a
   * moment ago is not written again, so that it can be asked often. Forgets runners
   * that were not seen for a day.
   *
   * @param options.signal ends the wait for the store
   */
  present(
    presence: Presence,
    options?: { readonly signal?: AbortSignal },
  ): Promise<{ readonly isDraining: boolean }>;
  /**
   * Says that a runner has gone.
   *
   * @param options.signal ends the wait for the store
   */
  leave(
    name: string,
    options?: { readonly signal?: AbortSignal },
  ): Promise<void>;
  /**
   * Keeps lines of runs, and deletes some that were kept. Not fenced: each run has
   * rows of its own, so that what one that lost its lease has still to say stands in
   * the log of its own attempt.
   *
   * @param options.signal ends the wait for the store
   */
  writeLogs(
    logs: RunLogWrite,
    options?: { readonly signal?: AbortSignal },
  ): Promise<void>;
  /** What came of the tasks that one waited for, in the order that was given. */
  results(taskId: string): Promise<readonly TaskResult[]>;
  /** What {@linkcode Queue.claim} would do. Changes nothing. */
  preview(options: PreviewOptions): Promise<Preview>;
  /**
   * Calls `listener` soon after others than this queue's callers may have changed
   * the store: another process, or {@linkcode Store.admin} in this one.
   */
  onChange(listener: () => void): Disposable;
}

/** Which tasks, and for whom. Durations are in milliseconds. */
export interface ClaimOptions {
  /** The runner's name. */
  readonly owner: string;
  /** How many tasks to begin. */
  readonly limit: number;
  /** How many more to hold, of those that never ran. @default {0} */
  readonly ahead?: number;
  readonly leaseMs: number;
  /** Attempts of a task that sets none, before its runner's death ends it. */
  readonly maxAttempts: number;
  /** The runner has nothing in hand. @default {false} */
  readonly isIdle?: boolean;
  /**
   * How many more tasks of these providers may be claimed; Infinity for any
   * number. {@linkcode OTHERS} is all the other providers together.
   */
  readonly providerRoom?: ReadonlyMap<string, number>;
  /**
   * How many tasks of these providers all runners together may have in hand; as
   * {@linkcode providerRoom} otherwise. They are never more: whoever claims at the
   * same time is after it, or finds no room.
   */
  readonly globalLimits?: ReadonlyMap<string, number>;
  /**
   * What may begin of the tasks of these providers, counted over all runners as
   * {@linkcode globalLimits} is. A provider that is named without limits is none of
   * the others. Of those with limits, none is held.
   */
  readonly taskLimits?: ReadonlyMap<string, TaskLimits>;
  /** Only tasks of these providers. */
  readonly providers?: readonly string[];
  /** Only this task, even before its `runAt`. */
  readonly taskId?: string;
  /** Ends the wait for the store; then nothing is claimed. */
  readonly signal?: AbortSignal;
}

/** Options for {@linkcode Queue.untilDue}. */
export interface DueOptions extends Pick<ClaimOptions, "providers"> {
  /** Only tasks that wait for their next attempt. @default {false} */
  readonly isRetry?: boolean;
}

/** What came of a {@linkcode Queue.claim}. */
export interface Claim {
  /** In the order in which they are to run: the begun ones first. */
  readonly tasks: readonly ClaimedTask[];
  /** A task waits for the runner to have nothing in hand: claim no other. */
  readonly waitsForIdle: boolean;
  /** There are more than could be read at once, so large are their texts. */
  readonly hasMore: boolean;
  /** When, by the store's clock. */
  readonly at: Date;
  /** What is paused, or may have one task that tries. */
  readonly pauses: readonly Pause[];
  /** When a task may begin that a rate holds back, where there is one. */
  readonly nextAt?: Date;
}

/** Why a provider takes no tasks. */
export const PAUSE_KINDS = ["person", "limit", "budget"] as const;

/** One of {@linkcode PAUSE_KINDS}. */
export type PauseKind = (typeof PAUSE_KINDS)[number];

/**
 * Tasks that wait; all runners heed it. One of each kind at most, of a provider, a
 * batch, or everything: see {@linkcode PauseTarget}.
 */
export interface Pause {
  /** {@linkcode OTHERS} of a batch, and of everything. */
  readonly provider: string;
  /** Empty where it is of no batch. */
  readonly batch: string;
  readonly kind: PauseKind;
  readonly reason: string;
  readonly since: Date;
  /**
   * When it ends; null: when a person says so. A limit does not end then: one task
   * tries, and when that has ended in any other way, so has the limit.
   */
  readonly until: Date | null;
  /** How often in a row nobody knew when the limit ends. */
  readonly tries: number;
  /** A task tries just now, whether the limit has ended. @default {false} */
  readonly isTried?: boolean;
}

/** A pause, and what it is for. */
export interface PauseInfo extends Pause {
  /** Tasks that wait because of it. */
  readonly waiting: number;
}

/** What is paused, or goes on. */
export type PauseTarget =
  /** Its tasks; {@linkcode OTHERS} is everything. */
  | { readonly provider: string; readonly batch?: undefined }
  /** Its tasks, of whatever provider. */
  | { readonly batch: string; readonly provider?: undefined };

/** Options for {@linkcode Admin.pause} and {@linkcode Queue.pause}. */
export interface PauseOptions {
  readonly kind: PauseKind;
  readonly reason: string;
  /** Until it ends, in milliseconds; null: when a person says so. */
  readonly waitMs: number | null;
}

/** Options for {@linkcode Queue.handOver}. */
export interface HandOverOptions {
  readonly from: string;
  readonly to: string;
  readonly reason: string;
}

/** Options for {@linkcode Queue.endAbandoned}. */
export type EndOptions = Pick<
  ClaimOptions,
  "maxAttempts" | "taskId" | "signal"
>;

/** A task that was ended without a run. */
export interface EndedTask {
  readonly task: AgentTask;
  readonly transition: Transition;
}

/**
 * What a lease is: still held, held of a task to be cancelled, or lost. Busy: it is
 * not renewed and nobody knows, because somebody else writes the task's row.
 */
export type LeaseState = "held" | "cancelled" | "lost" | "busy";

/** What came of {@linkcode Queue.record}. */
export interface Recorded {
  /** When, by the store's clock. */
  readonly at: Date;
  /**
   * Of each transition, in their order: `lost` where the task has another lease or
   * state by now, the error where the store refuses the row itself.
   */
  readonly results: readonly ("written" | "lost" | DatabaseError)[];
  /**
   * What waited for those that have ended, or was held back by those that nobody has
   * in hand any more, may be claimed now.
   * @default {false}
   */
  readonly hasUnblocked?: boolean;
}

/** The most characters that the texts of all results of a task have. */
export const MAX_RESULTS_TEXT = 8 * 1024 ** 2;

/** What a runner says of itself. */
export interface Presence {
  /** As in its leases. */
  readonly name: string;
  /** Its machine, */
  readonly host: string;
  /** and its process there. */
  readonly pid: number;
  /** The program's. */
  readonly version: string;
  /** Tasks that it runs at the same time. */
  readonly concurrency: number;
  /** For how long it has been here, in milliseconds. */
  readonly upMs: number;
}

/** What {@linkcode Queue.writeLogs} does, in this order. */
export interface RunLogWrite {
  readonly pieces: readonly LogPiece[];
  readonly cuts: readonly LogCut[];
}

/** Lines of one run, one after the other. */
export interface LogPiece {
  readonly lease: Lease;
  /** Which line of its run the first one is, from 0. */
  readonly firstLine: number;
  readonly lineCount: number;
  /** How long ago the first one came, in milliseconds. */
  readonly agoMs: number;
  /** As `lib/task/run_log.ts` has them, between line breaks. */
  readonly text: string;
}

/** Whole pieces of one run, from a line up to another that stays. */
export interface LogCut {
  readonly lease: Lease;
  readonly firstLine: number;
  readonly endLine: number;
}

/** Options for {@linkcode Queue.preview}. */
export type PreviewOptions = Pick<
  ClaimOptions,
  | "globalLimits"
  | "limit"
  | "maxAttempts"
  | "providers"
  | "taskId"
  | "taskLimits"
>;

/**
 * What a claim would do, without doing it: and the claims after it, where a provider
 * has any room at all.
 */
export interface Preview {
  /** What would be claimed, in its order: at most as many as the limit. */
  readonly claimable: readonly AgentTask[];
  readonly claimableCount: number;
  /** What has not ended and would not be claimed: again at most the limit. */
  readonly others: readonly AgentTask[];
  readonly othersCount: number;
  /** What {@linkcode ClaimOptions.globalLimits} leave; empty where there are none. */
  readonly globalRoom: ReadonlyMap<string, number>;
  /** What is paused, or may have one task that tries. */
  readonly pauses: readonly Pause[];
  /** What those of {@linkcode others} wait for that wait for other tasks. */
  readonly blockedBy: ReadonlyMap<string, BlockedBy>;
  /**
   * Which {@linkcode ClaimOptions.taskLimits}, and which tasks in hand, hold tasks back:
   * by the tasks of {@linkcode others}.
   */
  readonly heldBy: ReadonlyMap<string, HoldReason>;
  /** How many tasks each of them holds back. */
  readonly held: readonly HeldCount[];
}

/** What a task waits for: the first of those that have not ended, and their count. */
export interface BlockedBy {
  readonly id: string;
  readonly state: TaskState;
  readonly count: number;
}

/** A limit, or another task, that a task waits for. */
export type HoldReason =
  /** So many tasks with its key are in hand. */
  | {
    readonly kind: "key";
    readonly key: string;
    readonly inHand: number;
    readonly most: number;
  }
  /** So many have begun lately; of its key, where that is not empty. */
  | {
    readonly kind: "rate";
    readonly key: string;
    readonly rate: Rate;
    /** When the next one may. */
    readonly nextAt: Date;
  }
  /** A task in hand touches what it touches. */
  | {
    readonly kind: "touches";
    /** That task, */
    readonly id: string;
    /** and which of its globs. */
    readonly glob: string;
  };

/** Tasks of a provider that wait for a limit. */
export interface HeldCount {
  readonly provider: string;
  readonly kind: HoldReason["kind"];
  readonly count: number;
}

// ── admin: what people need; the API's client is one too ────────────────────

/** Makes tasks, looks at them, steps in. */
export interface Admin {
  /**
   * Adds tasks, all or none. Returns their ids in the same order; in place of one
   * whose {@linkcode NewTask.key} is taken, the id of the task that has it, which
   * {@linkcode IdList.known} names. Of two with one key, the second is the first.
   *
   * @throws {DuplicateIdError} where there is a task with one of the ids already.
   */
  create(tasks: NewTasks): Promise<IdList>;
  get(id: string): Promise<AgentTask | undefined>;
  /** Tasks whose id begins with `prefix`, by their ids, at most `limit`. */
  find(prefix: string, limit: number): Promise<AgentTask[]>;
  /** A page of tasks, newest first. */
  page(options: PageOptions): Promise<TaskPage>;
  /** How many tasks of each provider are in each state, and what waits. */
  count(): Promise<Counts>;
  /** The batches that got a task last, latest first; or the one that is named. */
  batches(options: BatchOptions): Promise<Batch[]>;
  /** A task's history, oldest first. */
  history(taskId: string): Promise<TaskEvent[]>;
  /**
   * A page of the log of one attempt of a task.
   *
   * @throws {UsageError} where `after` is no place in a log.
   */
  logs(options: LogsOptions): Promise<LogPage>;
  /** The tasks that {@linkcode Admin.cancel} ends or asks to end, oldest first. */
  cancellable(filter: TaskFilter): Promise<ChosenTask[]>;
  /**
   * The tasks to {@linkcode Admin.retry}, oldest first: those that ended and were
   * not retried before, and those that wait for their next attempt.
   */
  retryable(filter: TaskFilter): Promise<ChosenTask[]>;
  /**
   * Cancels tasks. Returns what came of each, in their order. One transaction, or
   * one for each ten thousand, so that others get their turn; so do the next two.
   */
  cancel(ids: readonly string[]): Promise<CancelResult[]>;
  /** Gives the same answer to tasks that wait for one. */
  answer(ids: readonly string[], text: string): Promise<AnswerResult[]>;
  /**
   * Approves what tasks ask to have approved: their start, or their changes. What
   * was created to be approved first need not have asked. With a head, only changes
   * of which that is the last commit.
   */
  approve(
    ids: readonly string[],
    options?: ApproveOptions,
  ): Promise<ApproveResult[]>;
  /** Notes what came of a task's changes, where no runner works on it. */
  amend(id: string, amendment: Amendment): Promise<AmendResult>;
  /**
   * Leaves a person's note with a task that has not ended, for its next attempt:
   * a run that is under way does not see it.
   */
  note(id: string, text: string): Promise<NoteResult>;
  /**
   * Runs tasks again: what ended as a new task, what waits for its next attempt at
   * once. No id may be there twice. A new task waits for what the old one waited for,
   * or for what has been made of that since, and goes on with its branch, if it had
   * one. All of them get the note.
   */
  retry(
    ids: readonly string[],
    options?: { readonly note?: string | undefined },
  ): Promise<RetryResult[]>;
  /**
   * The tasks that failed, or were skipped, because of these, and those behind them:
   * to be retried with them. Without what was retried already.
   */
  dependents(ids: readonly string[]): Promise<string[]>;
  /** What a task waits for and what waits for it, and so on, the nearest first. */
  graph(id: string, options: { readonly limit: number }): Promise<TaskGraph>;
  /** Changes a task that has not begun. What is left out stays as it is. */
  edit(id: string, changes: TaskEdit): Promise<EditResult>;
  /**
   * Makes tasks the first, or the last, to run of those of their provider that have
   * not begun, in the order of the ids, by their priorities. One transaction. No id
   * may be there twice.
   *
   * @throws {UsageError} where no priority is left for that.
   */
  move(ids: readonly string[], to: MoveTarget): Promise<MoveResult[]>;
  /** What happened in a time, how long it took, and why tasks failed. */
  stats(options: StatsOptions): Promise<Stats>;
  /** What runs now and what ended last. */
  overview(options: OverviewOptions): Promise<Overview>;
  /**
   * Tasks, or their history, as a file's bytes. The store is free again before the
   * first of them is read; cancel the stream if it is not read to its end.
   */
  export(options: ExportOptions): Promise<Exported>;
  /** Counts what {@linkcode Admin.prune} would delete. */
  prunable(before: Date): Promise<PruneCount>;
  /**
   * Deletes the tasks that ended before then, with their history and their logs, but
   * for those that webhooks, or tasks that have not ended, still wait for.
   *
   * @throws {DatabaseError} where another table refers to one of them.
   */
  prune(before: Date): Promise<Pruned>;
  /**
   * Deletes the history of tasks that ended longer ago than this, in milliseconds,
   * but for what webhooks still wait for, and their logs. Returns how many events:
   * none where another runner does it just now.
   *
   * @param options.signal ends it early; the rest stays for the next time
   */
  pruneHistory(
    retentionMs: number,
    options?: { readonly signal?: AbortSignal },
  ): Promise<number>;
  /** Who is there, the one that has been there longest first. */
  runners(): Promise<RunnerInfo[]>;
  /** What is paused, by its name. What has ended by itself is not listed. */
  pauses(): Promise<PauseInfo[]>;
  /** As {@linkcode Queue.pause}. */
  pause(target: PauseTarget, options: PauseOptions): Promise<void>;
  /** Ends all pauses of what is named. Returns how many. */
  resume(target: PauseTarget): Promise<number>;
  /**
   * Asks runners to claim no more, to finish what they have in hand, and to end.
   * Returns what came of each, in their order.
   */
  drain(names: readonly string[]): Promise<DrainResult[]>;
}

/** New tasks that come set by set, so that not all are held at once. */
export interface NewTasks {
  /** How many they are. */
  readonly count: number;
  /** Begins with the first set, each time that it is called. */
  sets(): Iterable<readonly NewTask[]> | AsyncIterable<readonly NewTask[]>;
}

/** Tasks that are there already. */
export function newTasks(tasks: readonly NewTask[]): NewTasks {
  return { count: tasks.length, sets: () => [tasks] };
}

/** Chooses tasks by what they have in common. */
export interface TaskFilter {
  readonly states?: readonly ShownState[];
  readonly provider?: string;
  readonly batch?: string;
  readonly key?: string;
  /** All of them. */
  readonly tags?: readonly string[];
  /**
   * Only tasks that have this text in their instruction or target, in any case, or
   * whose id begins with it.
   */
  readonly text?: string;
  /** Created at this time or later, */
  readonly createdSince?: Date;
  /** and before this one. */
  readonly createdBefore?: Date;
}

/** A task that was chosen. */
export interface ChosenTask {
  readonly id: string;
  readonly state: TaskState;
}

/** Options for {@linkcode Admin.page}. */
export interface PageOptions extends TaskFilter {
  /** At most so many; fewer where more can't be read at once. */
  readonly limit: number;
  /** Where the last page ended: its {@linkcode TaskPage.next}. */
  readonly after?: string;
  /**
   * Instructions and traces as they are. Without it, long instructions are cut to
   * {@linkcode MAX_LISTED_TEXT} characters, and of long traces only that is kept
   * which is listed: state, progress, error, question.
   * @default {false}
   */
  readonly isWhole?: boolean;
}

/** The most characters of an instruction on a page that is not whole. */
export const MAX_LISTED_TEXT = 1_000;

/** A page of tasks, newest first. */
export interface TaskPage {
  readonly tasks: readonly AgentTask[];
  /** Where the next page begins, an opaque text; undefined on the last one. */
  readonly next: string | undefined;
  /** How many there are on all pages. */
  readonly total: number;
}

/** Options for {@linkcode Admin.logs}. */
export interface LogsOptions {
  readonly taskId: string;
  /** @default {the last one that has a log} */
  readonly attempt?: number;
  /** Where the last page ended, its {@linkcode LogPage.next}: the same attempt. */
  readonly after?: string;
  /** Lines at most. */
  readonly limit: number;
}

/** What a log has: a line, or that some were left out where they would be. */
export type LogEntry =
  | LogLine
  | { readonly at: Date; readonly kind: "omitted"; readonly text: string };

/** A page of a log, oldest first. */
export interface LogPage {
  /** Which attempt's; null where no attempt has a log. */
  readonly attempt: number | null;
  /** All attempts that have one. */
  readonly attempts: readonly number[];
  readonly entries: readonly LogEntry[];
  /** Where to go on, an opaque text; undefined where there was nothing yet. */
  readonly next: string | undefined;
  /** There may be more already. */
  readonly hasMore: boolean;
  /**
   * The task has ended, or gone on to another attempt, or is not there: nothing is
   * added but what its runner has still to write.
   */
  readonly isOver: boolean;
  /** The same of the task, whatever the attempt. */
  readonly hasEnded: boolean;
}

/** How many tasks of one provider are in one state. */
export interface StateCount {
  readonly provider: string;
  readonly state: TaskState;
  readonly count: number;
}

/** What there is in the store now. */
export interface Counts {
  /** The largest first. */
  readonly counts: readonly StateCount[];
  /** Tasks that could be claimed now. */
  readonly waiting: number;
  /** Since when the one that waits longest could be claimed. */
  readonly waitingSince: Date | null;
  /** Tasks that runners work on. */
  readonly inFlight: number;
  /** When, by the store's clock. */
  readonly at: Date;
}

/** Options for {@linkcode Admin.batches}. */
export interface BatchOptions {
  /** Only this one. */
  readonly name?: string;
  /** At most so many. */
  readonly limit: number;
}

/**
 * The tasks that share a name. What a later one of them repeats is not counted: that
 * one is.
 */
export interface Batch {
  readonly name: string;
  /** How many are in each state that occurs, as it is shown. */
  readonly counts: StateCounts;
  readonly total: number;
  readonly ended: number;
  /** Those that were simulated included. */
  readonly completed: number;
  /** Without those that were cancelled. */
  readonly failed: number;
  /** Those that are not counted. */
  readonly retried: number;
  /** When the first was created. */
  readonly createdAt: Date;
  /** When the last one ended; null while one has not. */
  readonly endedAt: Date | null;
  /** What all runs cost, in US dollars, as far as agents tell. */
  readonly costUsd: number;
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

/** Options for {@linkcode Admin.approve}. */
export interface ApproveOptions {
  /** The last commit that the person has seen. */
  readonly head?: string | undefined;
}

/** What came of approving what one task asks for. */
export type ApproveResult =
  /** It goes on at its next claim. */
  | "approved"
  /** It does not ask to be approved, or not for this. */
  | "not asked"
  | "ended"
  | "missing";

/** What came of amending a task; `running`: a runner works on it. */
export type AmendResult = "amended" | "running" | "missing" | "unknown state";

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
  /** Another task has its key, and has not ended. */
  | "key taken"
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
  | {
    readonly kind: "refused";
    readonly why: RetryRefusal;
    /** The task that has the key. */
    readonly otherId?: string;
  };

/** What came of changing one task. */
export type EditResult =
  | "edited"
  /** A runner has it, or had it. */
  | "begun"
  | "ended"
  | "missing"
  | "unknown state";

/** Where a task can be moved to. */
export const MOVE_TARGETS = ["first", "last"] as const;

/** One of {@linkcode MOVE_TARGETS}. */
export type MoveTarget = (typeof MOVE_TARGETS)[number];

/** What came of moving one task: it is there now, or why not. */
export type MoveResult = "moved" | Exclude<EditResult, "edited">;

/** Some tasks, and which waits for which. */
export interface TaskGraph {
  readonly nodes: readonly GraphTask[];
  readonly edges: readonly {
    readonly task: string;
    /** What it waits for. */
    readonly after: string;
  }[];
  /** There are more than were asked for. */
  readonly hasMore: boolean;
}

/** A task in a {@linkcode TaskGraph}. */
export interface GraphTask {
  readonly id: string;
  readonly key: string | null;
  /** Its beginning. */
  readonly instruction: string | null;
  readonly provider: string;
  readonly state: TaskState;
  readonly shownState: ShownState;
  readonly ifFailed: IfFailed | null;
}

/** What came of leaving a note. */
export type NoteResult = "noted" | "ended" | "missing" | "unknown state";

/** A runner that has said that it is there. */
export interface RunnerInfo extends Omit<Presence, "upMs"> {
  readonly startedAt: Date;
  /** When that was written last. */
  readonly seenAt: Date;
  readonly isDraining: boolean;
  /** It was not seen for so long that it has died, or can't reach the store. */
  readonly isGone: boolean;
  /** Tasks of which it has a live lease. */
  readonly inHand: number;
}

/** What came of asking one runner to drain. */
export type DrainResult =
  /** It is told within half a minute, mostly at once. */
  | "asked"
  /** There is no such runner. */
  | "missing";

/** Options for {@linkcode Admin.stats}. */
export interface StatsOptions {
  readonly start: Date;
  readonly bucketMs: number;
  readonly buckets: number;
  /** How many reasons of failures at most. @default {0} */
  readonly reasons?: number;
}

/** Milliseconds within which half, 95% and 99% of what was measured lie. */
export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/**
 * How long tasks took. `wait` is from the creation of a task to its first start,
 * `run` from each start to the end of that attempt, whatever came of it. Null:
 * there was none.
 */
export interface Times {
  readonly wait: Percentiles | null;
  readonly run: Percentiles | null;
}

/**
 * What happened in one bucket of time; `failed` is without the cancelled ones, and
 * `simulated` is a part of the completed ones.
 */
export interface Bucket extends Times {
  readonly created: number;
  readonly started: number;
  readonly completed: number;
  readonly simulated: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly retried: number;
}

/** Tasks that failed for reasons that differ only in ids and numbers. */
export interface FailureReason {
  /** With `<id>` and `<n>` where those stood. */
  readonly reason: string;
  readonly count: number;
  /** The last such task. */
  readonly exampleId: string;
}

/** What the runs of one provider used by one model. */
export interface UsageSum {
  readonly provider: string;
  /** Null where the agent did not tell. */
  readonly model: string | null;
  readonly runs: number;
  /** Tokens. */
  readonly input: number;
  readonly output: number;
  readonly cached: number;
  /** US dollars, of those runs of which it is known. */
  readonly costUsd: number;
}

/** Figures about a time. */
export interface Stats {
  readonly buckets: readonly Bucket[];
  /** Of each provider; with null, of all together. */
  readonly times: readonly (Times & { readonly provider: string | null })[];
  /** The most frequent first. */
  readonly failures: readonly FailureReason[];
  /** The dearest first. Only what agents tell: most processors use nothing. */
  readonly usage: readonly UsageSum[];
}

/** A task as a live view shows it. */
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

/** Options for {@linkcode Admin.overview}. */
export interface OverviewOptions {
  /** How many running ones, and how many that ended, at most. */
  readonly limit: number;
  /** How far back `endedBySecond` goes, in milliseconds. */
  readonly recentMs: number;
}

/** What there is now. */
export interface Overview {
  readonly counts: Partial<Record<TaskState, number>>;
  /** Tasks that a runner works on, the one that runs longest first. */
  readonly running: readonly ShownTask[];
  /** Those that are not shown among `running` included. */
  readonly runningCount: number;
  /** The last that ended, latest first. */
  readonly ended: readonly ShownTask[];
  /** When tasks ended lately, by whole seconds since 1970. */
  readonly endedBySecond: ReadonlyMap<number, number>;
  /** How many of those were only simulated. */
  readonly simulatedLately: number;
}

/** The forms that tasks are exported in. */
export const EXPORT_FORMATS = ["parquet", "csv", "jsonl"] as const;

/** One of {@linkcode EXPORT_FORMATS}. */
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** Options for {@linkcode Admin.export}. */
export interface ExportOptions extends TaskFilter {
  readonly format: ExportFormat;
  /** The history instead of the tasks: the filter's times are of what happened. */
  readonly events: boolean;
  /** Of CSV: texts that a spreadsheet would compute begin with ' in it. */
  readonly forSpreadsheet?: boolean;
}

/** What {@linkcode Admin.export} gives. */
export interface Exported {
  readonly rows: number;
  readonly bytes: number;
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>>;
}

/** How much a {@linkcode Admin.prune} deletes. */
export interface PruneCount {
  readonly tasks: number;
  readonly events: number;
  /** Tasks that are old too, but webhooks, or other tasks, still wait for them. */
  readonly kept: number;
}

/** What {@linkcode Admin.prune} has deleted. */
export interface Pruned extends PruneCount {
  /** What the store takes; null where it can't say. */
  readonly size: StoreSize | null;
  /** Folders that went with their tasks, where somebody saw to that. */
  readonly folders?: number;
}

/** How large a store is, in bytes. */
export interface StoreSize {
  readonly before: number;
  readonly after: number;
  /** Of `after`, what is free for new tasks. */
  readonly free: number;
}

// ── events: the history of all tasks ────────────────────────────────────────

/** The events of all tasks, in an order in which none is missed. */
export interface Events {
  /** The events after a cursor, at most so many, in their order. */
  after(cursor: string, options: EventsOptions): Promise<EventPage>;
  /** The cursor of the newest event; `first` where there is none. */
  last(): Promise<string>;
  /** The cursor before the first event. */
  readonly first: string;
  /**
   * Says whether it is a cursor of this store: callers bring them back from
   * outside.
   */
  isCursor(text: string): boolean;
  /**
   * Calls `listener` soon after anybody changed the store, this process included.
   */
  onChange(listener: () => void): Disposable;
}

/** Options for {@linkcode Events.after}. */
export interface EventsOptions {
  readonly limit: number;
  /** Only those of this task. */
  readonly taskId?: string;
}

/** Some events. */
export interface EventPage {
  readonly events: readonly StoredEvent[];
  /** Where to go on: up to here, there are no others. An opaque text. */
  readonly cursor: string;
}

/** An event, and the cursor after it. */
export interface StoredEvent extends TaskEvent {
  readonly cursor: string;
}

// ── outbox: what webhooks need ──────────────────────────────────────────────

/** The kinds of event that can be delivered. */
export const DELIVERED_EVENTS = [
  "completed",
  "failed",
  "needs_input",
  "retry_scheduled",
  "limited",
  "cancelled",
  "batch_ended",
] as const satisfies readonly TaskEventKind[];

/** One of {@linkcode DELIVERED_EVENTS}. */
export type DeliveredEvent = (typeof DELIVERED_EVENTS)[number];

/** Keeps what is to be delivered. The history is the outbox itself. */
export interface Outbox {
  /**
   * Makes receivers known. A new one, and one that was gone, gets the events from
   * now on.
   */
  register(subscriptions: readonly Subscription[]): Promise<void>;
  /** Records results, and leases what is due next. */
  exchange(
    subscription: Subscription,
    options: ExchangeOptions,
  ): Promise<Exchange>;
  /** Those that no runner has served yet are left out. */
  status(subscriptions: readonly Subscription[]): Promise<EndpointStatus[]>;
}

/** Who gets which events. */
export interface Subscription {
  /** Names the receiver, in the store; the same in every runner. */
  readonly endpoint: string;
  readonly events: readonly DeliveredEvent[];
  readonly providers?: readonly string[];
}

/** An event to deliver. Long texts are cut. */
export interface Delivery {
  readonly eventId: number;
  readonly event: DeliveredEvent;
  readonly occurredAt: Date;
  readonly attempt: number;
  readonly runner: string | null;
  readonly detail: string | null;
  readonly taskId: string;
  /** Null where the task was deleted meanwhile. */
  readonly task: DeliveredTask | null;
  /** This one included. */
  readonly tries: number;
}

/** What a delivery says of its task, apart from its id. */
export type DeliveredTask =
  & Pick<
    AgentTask,
    | "userId"
    | "provider"
    | "targetType"
    | "targetRef"
    | "instruction"
    | "createdAt"
  >
  & {
    /** What came of it was simulated: nothing was done. */
    readonly isSimulated: boolean;
    /** What it asks to have approved now. */
    readonly approval: Approval["of"] | null;
  };

/** What came of a delivery. */
export type DeliveryResult =
  & { readonly eventId: number }
  & (
    | { readonly kind: "delivered" }
    /** It was not tried to the end; that costs no try. */
    | { readonly kind: "returned" }
    /** Tried again after so many milliseconds, or given up where that is null. */
    | {
      readonly kind: "failed";
      readonly error: string;
      readonly retryMs: number | null;
    }
    /** The receiver wants no more: everything for it is given up. */
    | { readonly kind: "gone"; readonly error: string }
  );

/** Options for {@linkcode Outbox.exchange}. Durations are in milliseconds. */
export interface ExchangeOptions {
  /** In the order in which they came about. */
  readonly results: readonly DeliveryResult[];
  /** How many deliveries to lease. */
  readonly limit: number;
  /** For how long nobody else gets what is leased. */
  readonly leaseMs: number;
  /**
   * Where nothing has succeeded for so long, in so many tries, the events that are
   * as old are given up.
   */
  readonly patience: { readonly ms: number; readonly tries: number };
}

/** What came of an {@linkcode Outbox.exchange}. */
export interface Exchange {
  /** At most one of each task: its oldest. */
  readonly deliveries: readonly Delivery[];
  /** How long until the next of those that wait is due, in ms; null for none. */
  readonly nextMs: number | null;
  /** Tries that failed since the last that succeeded. */
  readonly failures: number;
  /** Events that were given up because the receiver was away for too long. */
  readonly givenUp: number;
}

/** How a receiver does. */
export interface EndpointStatus {
  readonly endpoint: string;
  /** Events that wait. */
  readonly pending: number;
  readonly givenUp: number;
  readonly lastSuccessAt: Date | null;
  readonly lastErrorAt: Date | null;
  readonly lastError: string | null;
  /** Since when it gets nothing, because it said that it is gone. */
  readonly goneAt: Date | null;
}

// ── schedules: what makes tasks at its times ────────────────────────────────

/** Keeps schedules, and which slot of each was seen to last. */
export interface Schedules {
  /**
   * All of them, by their names.
   *
   * @param options.signal ends the wait for the store
   */
  list(options?: { readonly signal?: AbortSignal }): Promise<ScheduleList>;
  /** Adds a schedule; where there is one with its name, that is replaced. */
  put(schedule: NewSchedule): Promise<void>;
  /** Forgets a schedule, not its tasks. Returns whether there was one. */
  remove(name: string): Promise<boolean>;
  /** Pauses a schedule. Returns whether there is one. */
  pause(name: string): Promise<boolean>;
  /** Ends that; what it would have done meanwhile was not missed. */
  resume(name: string): Promise<boolean>;
  /**
   * Notes that a slot is seen to, with all that comes of it: all or nothing, and
   * once, whoever tries it at the same time. A task that is there already is not
   * made again. Returns the id of its task, which is that of another where the key
   * is taken; null where it has none, and "lost" where it is not to be taken.
   */
  take(slot: TakenSlot): Promise<string | null | "lost">;
}

/** What people need of {@linkcode Schedules}; the API's client has it too. */
export type ScheduleAdmin = Omit<Schedules, "take">;

/** A schedule to add. */
export interface NewSchedule {
  readonly name: string;
  /** When, and what: `lib/planning/schedule.ts` knows it. */
  readonly definition: string;
  /** Who added it: a command, or a file. */
  readonly source: string;
  /** Its times are those of the one before: those that were missed still are. */
  readonly keepsSlots?: boolean;
}

/** A schedule, and how far it is. */
export interface Schedule extends Omit<NewSchedule, "keepsSlots"> {
  /** Since when its times count: it was added, changed or resumed then. */
  readonly addedAt: Date;
  readonly pausedAt: Date | null;
  /** The last slot that was seen to. It never goes back. */
  readonly lastSlot: Date | null;
  /** The task of a slot that was made last, while it is there. */
  readonly lastTask: ChosenTask | null;
}

/** All schedules at one moment. */
export interface ScheduleList {
  readonly schedules: readonly Schedule[];
  /** When, by the store's clock. */
  readonly at: Date;
}

/** A slot, and what comes of it. */
export interface TakenSlot {
  readonly name: string;
  readonly slot: Date;
  /** The last slot when that was decided: where it is another one now, it is lost. */
  readonly lastSlot: Date | null;
  /** The slot's task, with its id. */
  readonly task?: NewTask & { readonly id: string };
  /** A task that is cancelled in favour of that one, once that is there. */
  readonly cancels?: string;
  /** A task in whose history it is noted that slots got none. */
  readonly skipped?: { readonly taskId: string; readonly detail: string };
}

// ── archive: what moves everything to another store ─────────────────────────

/** What an archive has rows of: `endpoints` and `deliveries` are the outbox's. */
export type ArchiveTable =
  | "events"
  | "tasks"
  | "dependencies"
  | "schedules"
  | "endpoints"
  | "deliveries";

/** A row by its columns' names; times as `2026-01-02T03:04:05.678901Z`. */
export type ArchiveRow = Readonly<
  Record<string, string | number | boolean | null>
>;

/** All that a store keeps, as rows that every store takes. */
export interface Archive {
  /** Reads it as it is at one moment; of a file, nobody else has it meanwhile. */
  read<T>(work: (contents: Contents) => Promise<T>): Promise<T>;
  /**
   * Makes ready for all of another: marks this one as partial, empties the outbox,
   * and has events that are not copied be numbered after that one.
   */
  prepare(lastEvent: number): Promise<void>;
  /** Adds rows in the order in which they were read. Those there are, it replaces. */
  write(table: ArchiveTable, rows: readonly ArchiveRow[]): Promise<void>;
  /** Says that all is there. */
  finish(): Promise<void>;
  /**
   * Whether there is something missing: it was made ready, and never finished.
   *
   * @param options.waitMs how long to wait for the store
   * @param options.signal ends the wait
   */
  isPartial(
    options?: { readonly waitMs?: number; readonly signal?: AbortSignal },
  ): Promise<boolean>;
}

/** What there is in an archive at one moment. */
export interface Contents {
  count(table: ArchiveTable): Promise<number>;
  /** The event with the highest number. */
  lastEvent(): Promise<ArchiveRow | undefined>;
  event(id: number): Promise<ArchiveRow | undefined>;
  /**
   * Sets of rows whose texts fit into memory: events by their numbers, tasks in the
   * order in which they were made.
   *
   * @param options.afterEvent of the events, only those with higher numbers
   */
  rows(
    table: ArchiveTable,
    options: { readonly afterEvent: number },
  ): AsyncIterable<readonly ArchiveRow[]>;
}

// ── diagnostics: what doctor needs; reader: what sql needs ──────────────────

/** Looks at a store from outside, and changes nothing. */
export interface Diagnostics {
  /**
   * Looks at the place and at what is in it. Never throws for what it finds.
   *
   * @param options.leaseMs the lease that a runner with these settings takes
   */
  diagnose(options: { readonly leaseMs: number }): Promise<Diagnosis>;
}

/** What was found. */
export interface Diagnosis {
  /** Of the place: that it is there, may be used, has room, has the tables. */
  readonly checks: readonly Check[];
  /** Undefined where the tasks can't be looked at; a check says why. */
  readonly tasks: TaskFindings | undefined;
  /** The engine with its version, as `DuckDB v1.5.0`; undefined: not reached. */
  readonly engine: string | undefined;
}

/** One thing that was looked at. */
export interface Check {
  readonly name: string;
  readonly level: "ok" | "warn" | "fail";
  readonly message: string;
  /** What to do. */
  readonly advice?: string;
}

/** How many tasks are in a state that someone should know of. */
export interface TaskFindings {
  readonly total: number;
  /** Created or changed in the future. */
  readonly inFuture: number;
  /** Leased for longer than a runner with these settings does. */
  readonly longLeases: number;
  /** They could run, but no runner took them. */
  readonly waiting: Aged;
  /** Running without a live lease, and due. */
  readonly abandoned: Aged;
  /** They wait for an answer. */
  readonly asking: Aged;
  /** Somebody wants them cancelled, and no runner did. */
  readonly uncancelled: Aged;
  /** In states that another program made up. */
  readonly unknownStates: readonly string[];
  /** Runners with live leases. */
  readonly runners: readonly TaskCount[];
  /** Providers of tasks that have not ended and nobody works on. */
  readonly waitingProviders: readonly TaskCount[];
  /** Why tasks could not begin, of those that will be tried again. */
  readonly unbegun: readonly TaskCount[];
}

/** The events that have a task wait for its `run_at`: the last one says why. */
export const PUT_OFF = [
  "released",
  "retry_scheduled",
  "limited",
] as const satisfies readonly TaskEventKind[];

/** How many tasks something has. */
export interface TaskCount {
  readonly name: string;
  readonly tasks: number;
}

/** Some tasks, and for how long the oldest has been so, in milliseconds. */
export interface Aged {
  readonly count: number;
  readonly oldestMs: number;
}

/** Answers questions in the store's own language; held until disposed of. */
export interface Reader extends AsyncDisposable {
  /**
   * Asks one question.
   *
   * @throws {UsageError} where it is no question, or has a mistake in it.
   */
  query(question: string, options: QueryOptions): Promise<QueryResult>;
}

/** Options for {@linkcode Reader.query}. */
export interface QueryOptions {
  /** Rows at most. */
  readonly limit: number;
  /** The question is given up after this time. */
  readonly timeoutMs: number;
}

/** The answer to a question. */
export interface QueryResult {
  readonly columns: readonly {
    readonly name: string;
    readonly isNumber: boolean;
  }[];
  readonly rows: readonly (readonly JsonValue[])[];
  /** There are more rows than were asked for. */
  readonly hasMore: boolean;
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
