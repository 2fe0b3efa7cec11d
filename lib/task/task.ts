/**
 * Tasks, their states and what may happen to them. Pure: no I/O, no clock.
 *
 *     created ──▶ running ──▶ completed
 *        │         │  ▲ └───▶ failed
 *        │         ▼  │
 *        │      needs_input ─▶ failed
 *        └──────────────────▶ failed
 *
 * The states and their transitions are the HandsFree backend's. A task that
 * waits for a retry, and a task whose runner died, stay `running`: they have no
 * live lease, and that is what makes them claimable.
 *
 * @module
 */

import type { Usage } from "./usage.ts";

/** Every state of a task, in the order in which people read them. */
export const TASK_STATES = [
  "created",
  "running",
  "needs_input",
  "completed",
  "failed",
] as const;

/** One of {@linkcode TASK_STATES}. */
export type TaskState = (typeof TASK_STATES)[number];

const TRANSITIONS: ReadonlyMap<string, readonly TaskState[]> = new Map(
  Object.entries(
    {
      created: ["running", "failed"],
      running: ["needs_input", "completed", "failed"],
      needs_input: ["running", "failed"],
      completed: [],
      failed: [],
    } satisfies Record<TaskState, readonly TaskState[]>,
  ),
);

/**
 * Says whether this is one of {@linkcode TASK_STATES}. Another program may have
 * put anything into the table.
 */
export function isKnownState(state: string): state is TaskState {
  return TRANSITIONS.has(state);
}

/** Says whether a task may go from one state to the other. */
export function canTransition(from: string, to: TaskState): boolean {
  return TRANSITIONS.get(from)?.includes(to) ?? false;
}

/** Says whether nothing follows this state; of an unknown one, nobody knows. */
export function isFinal(state: string): boolean {
  return TRANSITIONS.get(state)?.length === 0;
}

/**
 * What becomes of a task when one that it waits for has failed: it fails too, is
 * skipped, or runs all the same.
 */
export const IF_FAILED = ["fail", "skip", "run"] as const;

/** One of {@linkcode IF_FAILED}. */
export type IfFailed = (typeof IF_FAILED)[number];

/** Any value that JSON can hold. */
export type JsonValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | JsonValue[]
  | { [key: string]: JsonValue };

/** A JSON object: the form of a trace. */
export type JsonObject = { [key: string]: JsonValue };

/** What a task is about: an issue or a pull request. */
export type TargetType = "issue" | "pr";

/** A task as it is stored. */
export interface AgentTask {
  /** UUID. */
  readonly id: string;
  /** UUID of the person or service that the task belongs to. */
  readonly userId: string;
  /** Chooses the processor. */
  readonly provider: string;
  readonly targetType: TargetType | null;
  /** `owner/repo#123`, or `#123` where the repository is unknown. */
  readonly targetRef: string | null;
  readonly instruction: string | null;
  readonly state: TaskState;
  /** The trace as it is stored: the text of a JSON object, or anything else. */
  readonly traceText: string | null;
  /** Higher first. Default 0. */
  readonly priority: number;
  /**
   * Not before this time; null means at once. For a task that waits for an
   * answer: the time when that is too late; null means never.
   */
  readonly runAt: Date | null;
  /** Calls of the processor so far, this one included. */
  readonly attempt: number;
  /** How many of them ended with a question: those count against no limit. */
  readonly questions: number;
  /** Attempts before a failure is final; null means the default. */
  readonly maxAttempts: number | null;
  /** How long one run may take, in milliseconds; null means the default. */
  readonly timeoutMs: number | null;
  /** A name that it has in common with others: they are counted together. */
  readonly batch: string | null;
  /** At most one task with a key has not ended. */
  readonly key: string | null;
  /** In the order in which they were given. */
  readonly tags: readonly string[];
  /** What a failure of a task that it waits for means; null: it waits for none. */
  readonly ifFailed: IfFailed | null;
  /** A task that it waits for has not ended yet. */
  readonly isBlocked: boolean;
  /** Where it works, as far as that is not as its provider says. */
  readonly workspace: WorkspaceChoice | null;
  /** Globs of what it changes: tasks of which they overlap run one by one. */
  readonly touches: readonly string[];
  /** It does not begin before a person has approved it. */
  readonly needsApproval: boolean;
  readonly leaseOwner: string | null;
  readonly leaseExpiresAt: Date | null;
  readonly cancelRequestedAt: Date | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** What someone gives to create a task. */
export interface NewTask {
  /** UUID. Default: a new random one. */
  readonly id?: string;
  readonly userId: string;
  readonly provider: string;
  readonly instruction?: string | null;
  readonly targetType?: TargetType | null;
  readonly targetRef?: string | null;
  readonly trace?: JsonObject | null;
  readonly priority?: number;
  readonly runAt?: Date | null;
  readonly maxAttempts?: number | null;
  readonly timeoutMs?: number | null;
  readonly batch?: string | null;
  /**
   * The tasks that must have ended before: their ids, or keys, of a task that is
   * created with it or else of the newest one that has it.
   */
  readonly after?: readonly string[];
  /** @default {"fail"} */
  readonly ifFailed?: IfFailed;
  readonly key?: string | null;
  /** The key is taken for so long after its task was created, in milliseconds. */
  readonly keyForMs?: number;
  /** A task with the key that has not begun becomes this one. @default {false} */
  readonly replaces?: boolean;
  readonly tags?: readonly string[];
  readonly workspace?: WorkspaceChoice | null;
  readonly touches?: readonly string[];
  /** @default {false} */
  readonly needsApproval?: boolean;
}

/** What a task says of its own of the repository that it works on. */
export interface WorkspaceChoice {
  /** A folder, or an address to clone. */
  readonly repo?: string;
  /** What its branch begins at. */
  readonly base?: string;
  /** The name of its branch. */
  readonly branch?: string;
}

type EditedField =
  | "instruction"
  | "provider"
  | "targetType"
  | "targetRef"
  | "priority"
  | "runAt"
  | "maxAttempts"
  | "timeoutMs"
  | "batch"
  | "tags"
  | "workspace"
  | "touches"
  | "needsApproval";

/**
 * What is to be changed of a task that has not begun; `runAt` null: at once. What a
 * workspace does not say stays as it is.
 */
export type TaskEdit = {
  readonly [field in EditedField]?:
    | NonNullable<AgentTask[field]>
    | (field extends "runAt" ? null : never);
};

/** The `run_at` of a {@linkcode TaskEdit} in JSON: the task is not to wait. */
export const NOW = "now";

/**
 * The right to work on one task. `id` is new at every claim, and every write of
 * a run carries it, so an old run can never write over a newer one's work.
 */
export interface Lease {
  readonly taskId: string;
  readonly id: string;
  /** The runner's name. */
  readonly owner: string;
  /** The attempt of the run, be it begun or not. */
  readonly attempt: number;
}

/** What a write expects of a task that nobody works on: that nobody does. */
export interface NoLease {
  readonly taskId: string;
  readonly id: null;
  readonly owner: null;
  readonly attempt: number;
}

/** A claimed task with its lease. */
export interface ClaimedTask {
  /** `running` where it was begun; as it was before where it is only held. */
  readonly task: AgentTask;
  readonly lease: Lease;
  /** It runs by itself: no other may fall with it. @default {false} */
  readonly isAlone?: boolean;
}

/** What a program printed in a run: the beginning and the end of each stream. */
export interface Printed {
  readonly stdout?: string;
  readonly stderr?: string;
}

/** What a person approved. */
export type Approval = {
  /** That the task begins, or that its changes are merged. */
  readonly of: "start" | "merge";
  /** ISO 8601. */
  readonly at: string;
  /** The last commit that was looked at; of a start, there is none. */
  readonly head?: string;
};

/** What a person is asked. */
export interface Asked {
  readonly question: string;
  /** It asks to be approved, rather than for words. */
  readonly approval?: Omit<Approval, "at">;
  /** What the work came to, of which that is asked. */
  readonly result?: JsonValue;
  /** The task fails where nobody answers within this time. Default: never. */
  readonly answerWithinMs?: number;
}

/** What came of executing a task once. */
export type Outcome = Ending & {
  /** Kept in the history, and in the trace of a task that failed. */
  readonly printed?: Printed | undefined;
  /** What the run used; kept in the history. */
  readonly usage?: Usage | undefined;
};

type Ending =
  | {
    readonly kind: "completed";
    /**
     * Kept in the trace as `output`. Of more than 1 MiB of JSON text, the head is
     * kept as `{"truncated": …}`; of what JSON can't hold, why as
     * `{"unkept": …}`, with the `text` of what is nested too deep.
     */
    readonly result?: JsonValue;
    readonly message?: string;
    /** What was not as it should be though the work is done: kept, and shown. */
    readonly warning?: string;
  }
  | {
    readonly kind: "failed";
    readonly error: string;
    /** False where a second try can't help. */
    readonly retryable: boolean;
    /** Not tried again sooner; without it, the backoff decides. */
    readonly retryAfterMs?: number;
    /**
     * The work could not begin, and that is not the task's fault: it costs no
     * attempt, and the task waits for five minutes. @default {false}
     */
    readonly isUnbegun?: boolean;
    /**
     * All tasks of the provider would fail of it, as of a wrong key: the provider
     * is paused as by a limit whose end nobody knows. @default {false}
     */
    readonly pausesProvider?: boolean;
    /** What a person is asked in place of failing, after the last attempt. */
    readonly atLast?: Asked;
  }
  | ({ readonly kind: "needs_input" } & Asked)
  | {
    /**
     * The limit of the task's provider is reached: it is paused for all its tasks,
     * and this one costs no attempt.
     */
    readonly kind: "limited";
    readonly reason: string;
    /** Until the limit ends, in milliseconds. Default: nobody knows. */
    readonly waitMs?: number;
  }
  /** The run was stopped before it had an outcome. */
  | { readonly kind: "aborted"; readonly reason: AbortReason };

/** What came of a task that another one waited for. */
export interface TaskResult {
  readonly id: string;
  readonly key: string | null;
  readonly provider: string;
  /** Its beginning. */
  readonly instruction: string | null;
  readonly state: TaskState;
  /** What it completed with; undefined where it gave nothing. */
  readonly output: JsonValue | undefined;
  /** Why it failed. */
  readonly error?: string;
  /** What came of its branch, as its trace has it; undefined where it had none. */
  readonly workspace?: JsonObject;
  /** Its texts are left out, for those of all are too long. @default {false} */
  readonly isTruncated?: boolean;
}

/** It becomes part of the trace, which is read whole with its task. */
export const MAX_ANSWER_CHARACTERS = 1024 * 1024;

/** A question that a task asked and what a person said, as the trace has it. */
export type Answer = {
  readonly question: string;
  readonly answer: string;
  /** ISO 8601. */
  readonly answered_at: string;
};

/** Why a run has no outcome of its own. */
export type AbortReason = "shutdown" | "lease lost" | "cancelled";

/** Why a run was stopped. */
export type StopReason = AbortReason | "timeout";

/** What a processor may put into its task's history while a run goes on. */
export const RUN_NOTES = [
  /** The agent has a session, or goes on in one. */
  "session",
  /** Its session could not be found any more: it began anew. */
  "session_lost",
  /** It may not do what it wanted to. */
  "denied",
  /** It said nothing for so long that it was ended. */
  "idle",
  /** The provider answers: its limit, if there was one, is over. */
  "limit_over",
  /** The check of its work passed, */
  "checked",
  /** or failed, which it was told. */
  "check_failed",
  /** It has a worktree, or a clone, and a branch of its own there. */
  "workspace",
  /** What it left uncommitted, was committed for it. */
  "committed",
  /** Its branch is in the base. */
  "merged",
  /** Its branch conflicts with the base. */
  "conflicted",
  /** There is a pull request of its branch. */
  "pull_request",
] as const;

/** One of {@linkcode RUN_NOTES}. */
export type RunNoteKind = (typeof RUN_NOTES)[number];

/** The kinds of row in a task's history. */
export type TaskEventKind =
  | RunNoteKind
  | "created"
  | "started"
  | "progress"
  | "completed"
  | "failed"
  | "needs_input"
  | "retry_scheduled"
  | "released"
  | "limited"
  | "handed_over"
  | "answered"
  /** A person has approved it: its start, or its changes. */
  | "approved"
  | "noted"
  /** What came of it was told where it came from. */
  | "commented"
  /** Somebody changed it before it began. */
  | "edited"
  /** A task that it waited for failed, and it is not to run then. */
  | "skipped"
  /** The last task of its batch has ended, and this is it. */
  | "batch_ended"
  /** A slot of its schedule was skipped while it had not ended. */
  | "slot_skipped"
  | "retried"
  | "cancel_requested"
  | "cancelled";

/** One row of a task's history. */
export interface TaskEvent {
  /** Differs from that of every other event of the store. */
  readonly id: number;
  readonly taskId: string;
  readonly kind: TaskEventKind;
  readonly occurredAt: Date;
  readonly attempt: number;
  /** The runner that did it; null where a person or a script did. */
  readonly runner: string | null;
  readonly detail: string | null;
  /** Left out where there is none. */
  readonly printed?: Printed;
  /** What the run used that ended with it. Left out where nobody told. */
  readonly usage?: Usage;
}

/**
 * One fenced write: applied only while the task is in this state under this
 * lease. Made by the named constructors in `transitions.ts`, applied by its
 * `apply()`.
 */
export interface Transition {
  readonly lease: Lease | NoLease;
  readonly from: TaskState;
  readonly to: TaskState;
  readonly event: TaskEventKind;
  /** Shown in the task's history. */
  readonly detail: string | null;
  /** The run keeps its lease. */
  readonly keepsLease: boolean;
  /** What it adds to the attempts: 1 spends one, -1 gives it back. */
  readonly attempts: 1 | 0 | -1;
  /** It ends an attempt with a question, which counts against no limit. */
  readonly isQuestion: boolean;
  /**
   * How long from then until {@linkcode AgentTask.runAt}, in milliseconds; null:
   * there is none.
   */
  readonly delayMs: number | null;
  /** {@linkcode AgentTask.runAt} stays as it is. @default {false} */
  readonly keepsRunAt?: boolean;
  /** Keys to set in the trace, at that time, where it reads so. */
  readonly patch: (at: Date, traceText: string | null) => JsonObject;
  /** What the run noted last and nobody has written yet. */
  readonly note: ProgressNote | undefined;
  /** What the run printed; kept in the task's history. */
  readonly printed?: Printed;
  /** What was not as it should be though the work is done. */
  readonly warning?: string;
  /** What the run used, and of whom; kept in the task's history. */
  readonly usage?: Usage & { readonly provider: string };
  /** The limit that the run met, in its task's provider. */
  readonly limit?: ProviderLimit;
  /** What the run asks to have approved. */
  readonly approval?: Omit<Approval, "at">;
}

/** A limit of a provider that a run met. */
export interface ProviderLimit {
  readonly provider: string;
  readonly reason: string;
  /** Until it ends, in milliseconds; undefined where nobody knows. */
  readonly waitMs?: number | undefined;
}

/** How far a run is, in its own words. */
export interface ProgressNote {
  readonly message: string;
  /** How much is done, from 0 to 1, where that is known. */
  readonly fraction?: number | undefined;
  readonly at: Date;
}

const TARGET = /^(?:([^\s/#]+\/[^\s/#]+))?#([1-9]\d{0,9})$/;
const MAX_INTEGER = 2_147_483_647;

/**
 * Splits `owner/repo#123` or `#123` into what the table holds.
 *
 * @returns undefined where the text has another form, or the number does not
 * fit the table's INTEGER.
 */
export function parseTargetRef(
  ref: string,
): { repo: string | null; number: number } | undefined {
  const match = TARGET.exec(ref);
  if (!match) return undefined;
  const number = Number(match[2]);
  return number <= MAX_INTEGER ? { repo: match[1] ?? null, number } : undefined;
}
