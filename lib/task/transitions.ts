/**
 * The writes that begin, end or interrupt a run. Named constructors, so that
 * nobody can make an illegal one. What they put into the trace is HandsFree's
 * convention; keys beyond it say so.
 *
 * @module
 */

import { format as formatDuration } from "@std/fmt/duration";
import { fractionAfter, progressText } from "./progress.ts";
import type { AgentSession } from "./session.ts";
import {
  type AgentTask,
  type Approval,
  canTransition,
  type JsonObject,
  type JsonValue,
  type Lease,
  type NoLease,
  type Printed,
  type ProgressNote,
  type ProviderLimit,
  type RunNoteKind,
  type TaskState,
  type Transition,
} from "./task.ts";
import {
  isCancelled,
  isSimulated,
  isSkipped,
  SIMULATED_DETAIL,
  SIMULATED_KEY,
} from "./shown_state.ts";
import { addUsage, type Usage, usageOf } from "./usage.ts";
import { mergeTrace, parseTrace } from "./trace.ts";
import {
  type Amendment,
  APPROVED_KEY,
  askedApprovalOf,
  ASKS_KEY,
  type TaskWorkspace,
  taskWorkspaceOf,
  WORKSPACE_KEY,
} from "./workspace.ts";

/** Who the trace says did it: HandsFree's own name for its runner. */
export const RUNNER_ACTOR = "runner_loop";

/** `2026-11-22T14:29:55.730+00:00`: how HandsFree writes times. */
export function traceTime(time: Date): string {
  const ms = time.getTime();
  if (ms !== lastTime.ms) {
    lastTime = { ms, text: time.toISOString().replace("Z", "+00:00") };
  }
  return lastTime.text;
}

/** A busy runner ends dozens of tasks in a millisecond. */
let lastTime = { ms: NaN, text: "" };

/** A task, and the lease that its row must have. */
export interface Held {
  readonly task: AgentTask;
  readonly lease: Lease | NoLease;
  /** What its run noted last and nobody has written yet. */
  readonly note?: ProgressNote | undefined;
  /** What comes of its run is marked: no work is done. @default {false} */
  readonly isSimulated?: boolean;
}

/** What a transition reads of a task's row, and changes. */
export interface TaskRow {
  readonly state: string;
  readonly leaseId: string | null;
  readonly traceText: string | null;
  readonly attempt: number;
  readonly questions: number;
  readonly runAt: Date | null;
  /** Undefined where it was not read: no transition needs it. */
  readonly batch?: string | null;
  /** As the batch. */
  readonly hasTouches?: boolean;
}

/**
 * The row after a transition at that time; undefined where it has another lease or
 * state by now, so that nothing may be written.
 */
export function apply<Row extends TaskRow>(
  row: Row,
  transition: Transition,
  at: Date,
): Row | undefined {
  const { from, lease, keepsLease, delayMs } = transition;
  if (row.state !== from || row.leaseId !== lease.id) return undefined;
  return {
    ...row,
    state: transition.to,
    leaseId: keepsLease ? row.leaseId : null,
    traceText: traceAfter(row.traceText, transition, at),
    attempt: row.attempt + transition.attempts,
    questions: row.questions + (transition.isQuestion ? 1 : 0),
    runAt: transition.keepsRunAt
      ? row.runAt
      : delayMs === null
      ? null
      : new Date(at.getTime() + delayMs),
  };
}

function traceAfter(
  traceText: string | null,
  { event, note, patch: patchOf }: Transition,
  at: Date,
): string | null {
  const own = patchOf(at, traceText);
  const fraction = fractionAfter(event, traceText, note);
  const patch = !note && fraction === undefined ? own : {
    ...note && notePatch(note),
    ...own,
    ...fraction === undefined ? {} : { progress_fraction: fraction },
  };
  if (patch === NOTHING) return traceText;
  return merged(traceText, patch);
}

/** The last merges, by their patches: a busy runner's outcomes are mostly alike. */
const merges = new Map<JsonObject, readonly [string | null, string]>();
const MOST_MERGES = 8;

function merged(traceText: string | null, patch: JsonObject): string {
  const known = merges.get(patch);
  if (known && known[0] === traceText) return known[1];
  const text = mergeTrace(traceText, patch);
  if (merges.size >= MOST_MERGES) merges.clear();
  merges.set(patch, [traceText, text]);
  return text;
}

const NOTHING: JsonObject = {};
const noPatch = () => NOTHING;

/** The same object for the same moment. */
function patchAt(make: (time: string) => JsonObject): (at: Date) => JsonObject {
  let last = { ms: NaN, patch: NOTHING };
  return (at) => {
    const ms = at.getTime();
    if (ms !== last.ms) last = { ms, patch: make(traceTime(at)) };
    return last.patch;
  };
}

type Rest =
  & Pick<Transition, "to" | "event">
  & Partial<Omit<Transition, "lease" | "note">>;

/** What a transition is of, without what it does not read. */
type Of = Pick<Held, "lease" | "note"> & {
  readonly task: Pick<AgentTask, "state">;
};

function transition({ task, lease, note }: Of, rest: Rest): Transition {
  const { to, event, from = task.state } = rest;
  if (from !== to && !canTransition(from, to)) {
    throw new TypeError(`Cannot take a task from ${from} to ${to}`);
  }
  return {
    lease,
    from,
    to,
    event,
    detail: rest.detail ?? null,
    keepsLease: rest.keepsLease ?? false,
    attempts: rest.attempts ?? 0,
    isQuestion: rest.isQuestion ?? false,
    delayMs: rest.delayMs ?? null,
    patch: rest.patch ?? noPatch,
    note,
  };
}

function notePatch({ message, fraction, at }: ProgressNote): JsonObject {
  return {
    last_progress_at: traceTime(at),
    progress: message,
    // Not HandsFree's.
    ...fraction === undefined ? {} : { progress_fraction: fraction },
  };
}

/**
 * created, or running without a live lease → running: the processor is about to be
 * called. A later attempt keeps the first start's time.
 */
export function begin(
  held: Held,
  from: TaskState = held.task.state,
): Transition {
  return transition(held, {
    from,
    to: "running",
    event: "started",
    keepsLease: true,
    attempts: 1,
    patch: startedPatch,
  });
}

const startedAt = patchAt((time) => ({
  auto_started_at: time,
  auto_started_by: RUNNER_ACTOR,
  progress: "Task started",
}));

function startedPatch(at: Date, traceText: string | null): JsonObject {
  const started = wasStarted(traceText) ? NOTHING : startedAt(at);
  // What came of an earlier attempt, or was given, says nothing about this one.
  const isMarked = isSimulated(traceText);
  const isGiven = isCancelled(traceText) || isSkipped(traceText);
  return !isMarked && !isGiven ? started : {
    ...started,
    ...isMarked && { [SIMULATED_KEY]: false },
    ...isGiven && { result: null },
  };
}

function wasStarted(traceText: string | null): boolean {
  return traceText !== null && traceText.includes("auto_started_at") &&
    parseTrace(traceText)?.auto_started_at !== undefined;
}

/** What there is to say of a completed task. */
interface Completion {
  readonly result?: JsonValue;
  readonly message?: string;
  readonly warning?: string;
}

/** Where the trace has what the work came to. */
export const OUTPUT_KEY = "output";

/** running → completed. */
export function complete(
  claimed: Held,
  { message, result, warning }: Completion = {},
): Transition {
  const said = [message, warning && `Warning: ${warning}`]
    .filter((it) => it !== undefined).join(". ");
  const isBare = said === "" && result === undefined;
  const patchOf = claimed.isSimulated ? simulatedAt : completedAt;
  const done = transition(claimed, {
    from: "running",
    to: "completed",
    event: "completed",
    detail: said || (claimed.isSimulated ? SIMULATED_DETAIL : undefined),
    patch: isBare ? patchOf : (at) => ({
      ...patchOf(at),
      ...said === "" ? {} : { progress: said },
      // Not HandsFree's, as the next.
      ...warning === undefined ? {} : { warning },
      // Not HandsFree's: `result` says there that the task succeeded.
      ...result === undefined ? {} : { [OUTPUT_KEY]: result },
    }),
  });
  return warning === undefined ? done : { ...done, warning };
}

const completed = (time: string): JsonObject => ({
  completed_at: time,
  completed_by: RUNNER_ACTOR,
  result: "success",
});
const completedAt = patchAt(completed);

/** Not HandsFree's: nobody may take what was simulated for work. */
const simulatedAt = patchAt((time) => ({
  ...completed(time),
  [SIMULATED_KEY]: true,
}));

function markOf({ isSimulated }: Held): JsonObject {
  return isSimulated ? { [SIMULATED_KEY]: true } : NOTHING;
}

/** running → failed. */
export function fail(claimed: Held, error: string): Transition {
  return transition(claimed, {
    from: "running",
    to: "failed",
    event: "failed",
    detail: error,
    patch: (at) => ({ ...failedPatch(at, error), ...markOf(claimed) }),
  });
}

function failedPatch(at: Date, error: string): JsonObject {
  return { failed_at: traceTime(at), failed_by: RUNNER_ACTOR, error };
}

/**
 * Any state that is not final → failed, because somebody cancelled the task.
 * Without a lease, for a task that nobody works on.
 */
export function cancel(
  held: Held,
  from: TaskState = held.task.state,
): Transition {
  return transition(held, {
    from,
    to: "failed",
    event: "cancelled",
    patch: (at) => ({
      ...failedPatch(at, "Cancelled"),
      cancelled_at: traceTime(at),
      result: "cancelled",
    }),
  });
}

/** How a task ends that waits for one that failed. */
export interface EndBehind {
  readonly isSkipped: boolean;
  readonly reason: string;
  /** The task that failed. */
  readonly afterId: string;
}

/** created → failed, because of a task that it waits for. It never ran. */
export function endBehind(
  taskId: string,
  { isSkipped, reason, afterId }: EndBehind,
): Transition {
  const lease = { taskId, id: null, owner: null, attempt: 0 };
  return transition({ task: { state: "created" }, lease }, {
    to: "failed",
    event: isSkipped ? "skipped" : "failed",
    detail: reason,
    // Not HandsFree's, but for the error.
    patch: (at) => ({
      ...failedPatch(at, reason),
      [WAITED_FOR_KEY]: afterId,
      ...isSkipped && { result: "skipped" },
    }),
  });
}

/** Where the trace has the task because of which it ended. */
export const WAITED_FOR_KEY = "waited_for";

/**
 * running → needs_input: the task waits, without a lease, for an answer. The run
 * that goes on with it is another attempt; a question counts against no limit.
 */
export function askInput(
  claimed: Held,
  question: string,
  { answerWithinMs, approval, result }: {
    readonly answerWithinMs?: number;
    readonly approval?: Omit<Approval, "at">;
    readonly result?: JsonValue;
  } = {},
): Transition {
  const asked = transition(claimed, {
    from: "running",
    to: "needs_input",
    event: "needs_input",
    detail: question,
    isQuestion: true,
    delayMs: answerWithinMs,
    // Not HandsFree's: it has no runner that asks.
    patch: (at, traceText) => ({
      question,
      question_asked_at: traceTime(at),
      ...asksPatch(approval, traceText),
      ...result === undefined ? {} : { [OUTPUT_KEY]: result },
      ...markOf(claimed),
      ...answerWithinMs === undefined ? {} : {
        answer_by: traceTime(new Date(at.getTime() + answerWithinMs)),
      },
    }),
  });
  return approval ? { ...asked, approval } : asked;
}

/** What it asks to have approved, in place of what it asked before. */
function asksPatch(
  approval: Omit<Approval, "at"> | undefined,
  traceText: string | null,
): JsonObject {
  if (approval) return { [ASKS_KEY]: { ...approval } };
  return hasAsked(traceText) ? { [ASKS_KEY]: null } : NOTHING;
}

function hasAsked(traceText: string | null): boolean {
  return askedApprovalOf(parseTrace(traceText) ?? {}) !== undefined;
}

/**
 * needs_input → running, without a lease: a person has approved what it asked for,
 * and the next claim goes on with that. What may not begin without it, and does not
 * ask just now, waits as before.
 */
export function approve(held: Held): Transition {
  const { task, lease } = held;
  const isEarly = task.state !== "needs_input";
  const asked: Omit<Approval, "at"> | undefined = isEarly
    ? { of: "start" }
    : askedApprovalOf(parseTrace(task.traceText) ?? {});
  if (!asked) throw new TypeError("Cannot approve what was not asked for");
  const { of, head } = asked;
  const changes = head === undefined ? "its changes" : `its changes, ${head}`;
  const rest = {
    event: "approved",
    detail: of === "start" ? "its start" : changes,
  } as const;
  if (isEarly) {
    const patch = (at: Date) => ({ [APPROVED_KEY]: { of, at: traceTime(at) } });
    const keepsLease = lease.id !== null;
    const change = transition(held, {
      ...rest,
      to: task.state,
      keepsLease,
      patch,
    });
    return { ...change, keepsRunAt: true };
  }
  return transition(held, {
    ...rest,
    from: "needs_input",
    to: "running",
    // Not HandsFree's.
    patch: (at, traceText) => ({
      [APPROVED_KEY]: { ...asked, at: traceTime(at) },
      [ASKS_KEY]: null,
      question: null,
      ...parseTrace(traceText)?.answer_by === undefined
        ? {}
        : { answer_by: null },
    }),
  });
}

/** Notes what came of a task's changes after its run: its state stays as it is. */
export function amend(
  held: Held,
  { kind, detail, workspace }: Amendment,
): Transition {
  const { task, lease } = held;
  const change = transition({ task, lease }, {
    to: task.state,
    event: kind,
    keepsLease: lease.id !== null,
    detail,
    // Not HandsFree's.
    patch: (_at, traceText) => {
      const before = taskWorkspaceOf(parseTrace(traceText) ?? {});
      return before && workspace
        ? { [WORKSPACE_KEY]: { ...before, ...workspace } }
        : NOTHING;
    },
  });
  return { ...change, keepsRunAt: true };
}

/** needs_input → running, without a lease: the next claim has the answer. */
export function answer(held: Held, text: string): Transition {
  return transition(held, {
    from: "needs_input",
    to: "running",
    event: "answered",
    detail: text,
    patch: (at, traceText) => {
      const trace = parseTrace(traceText) ?? {};
      const before = trace.answers ?? [];
      return {
        answers: [
          // What somebody else put there is no answer, and stays.
          ...(Array.isArray(before) ? before : [before]),
          {
            question: questionOf(trace) ?? "",
            answer: text,
            answered_at: traceTime(at),
          },
        ],
        question: null,
        ...(askedApprovalOf(trace) && {
          [ASKS_KEY]: null,
          // The work goes on, and comes to something else.
          ...OUTPUT_KEY in trace && { [OUTPUT_KEY]: null },
        }),
        ...(trace.answer_by === undefined ? {} : { answer_by: null }),
      };
    },
  });
}

/**
 * Changes nothing but the trace: what a person has to say for the task's next
 * attempt.
 */
export function leaveNote(held: Held, text: string): Transition {
  const { task: { state }, lease } = held;
  const change = transition({ task: held.task, lease }, {
    to: state,
    event: "noted",
    keepsLease: lease.id !== null,
    detail: text,
    // Not HandsFree's.
    patch: (at, traceText) => {
      const before = parseTrace(traceText)?.notes;
      const notes = Array.isArray(before) ? before : [];
      return { notes: [...notes, { text, at: traceTime(at) }] };
    },
  });
  return { ...change, keepsRunAt: true };
}

/** The question that a task waits with, as its trace has it. */
export function questionOf(trace: JsonObject | undefined): string | undefined {
  return typeof trace?.question === "string" ? trace.question : undefined;
}

/** needs_input → failed: nobody answered in time. */
export function expire(held: Held): Transition {
  const { traceText, runAt, updatedAt } = held.task;
  const trace = parseTrace(traceText);
  const askedAt = Date.parse(String(trace?.question_asked_at));
  const waitMs = (runAt ?? updatedAt).getTime() - askedAt;
  const within = waitMs > 0
    ? `within ${formatDuration(waitMs, { ignoreZero: true })}`
    : "in time";
  const error = `Nobody answered ${within}: ${questionOf(trace) ?? ""}`;
  return { ...fail(held, error), from: "needs_input" };
}

/** Stays running, without a lease, until the delay is over. */
export function retryLater(
  claimed: Held,
  { error, delayMs }: { readonly error: string; readonly delayMs: number },
): Transition {
  return transition(claimed, {
    from: "running",
    to: "running",
    event: "retry_scheduled",
    detail: error,
    delayMs,
    // Not HandsFree's: it does not retry.
    patch: (at) => ({
      last_error: error,
      last_failed_at: traceTime(at),
      retry_at: traceTime(new Date(at.getTime() + delayMs)),
      ...markOf(claimed),
    }),
  });
}

/**
 * Stays running, without a lease: another program has answered, by setting it
 * running. It does not know of the time until which the answer was waited for.
 */
export function answeredElsewhere(held: Held): Transition {
  return transition(held, {
    to: "running",
    event: "answered",
    patch: () => ({ answer_by: null }),
  });
}

/** Whether that is what happened to a task that is running and not claimable. */
export function isAnsweredElsewhere(
  { state, runAt, traceText }: AgentTask,
): boolean {
  return state === "running" && runAt !== null &&
    parseTrace(traceText)?.answer_by === traceTime(runAt);
}

/**
 * Gives a begun task back as if it had not been claimed; costs no attempt. With a
 * delay, in milliseconds, it is claimed again no sooner.
 */
export function release(
  claimed: Held,
  reason: string,
  { delayMs = null }: { readonly delayMs?: number | null } = {},
): Transition {
  return transition(claimed, {
    from: "running",
    to: "running",
    event: "released",
    detail: reason,
    attempts: -1,
    delayMs,
  });
}

/**
 * Stays running, without a lease: its provider is paused, for all its tasks. Costs
 * no attempt.
 */
export function limited(
  claimed: Held,
  { reason, waitMs }: Omit<ProviderLimit, "provider">,
): Transition {
  const { provider, traceText } = claimed.task;
  const before = limitsIn(traceText);
  const delayMs = before === 0
    ? null
    : (waitMs ?? 0) + Math.min(BEHIND_MS * 2 ** before, MOST_BEHIND_MS);
  return {
    ...transition(claimed, {
      from: "running",
      to: "running",
      event: "limited",
      detail: reason,
      attempts: -1,
      delayMs,
      // Not HandsFree's.
      patch: (_at, traceText) => ({
        progress: `Waits for ${provider}: ${reason}`,
        limits: limitsIn(traceText) + 1,
      }),
    }),
    limit: { provider, reason, waitMs },
  };
}

/** Whoever meets a limit again lets others try first: it may be its own fault. */
const BEHIND_MS = 30_000;
const MOST_BEHIND_MS = 10 * 60_000;

/** How often a task has met a limit. */
function limitsIn(traceText: string | null): number {
  const limits = parseTrace(traceText)?.limits;
  return typeof limits === "number" && limits > 0 ? limits : 0;
}

/** The end of a run with what it printed: a task that failed has it in its trace. */
export function withPrinted(ended: Transition, printed: Printed): Transition {
  if (ended.to !== "failed") return { ...ended, printed };
  return {
    ...ended,
    printed,
    // Not HandsFree's.
    patch: (at, traceText) => ({
      ...ended.patch(at, traceText),
      printed: { ...printed },
    }),
  };
}

/**
 * The end of a run with what it used: kept in the history, and added up in the
 * trace.
 */
export function withUsage(
  ended: Transition,
  usage: Usage & { readonly provider: string },
): Transition {
  return {
    ...ended,
    usage,
    // Not HandsFree's.
    patch: (at, traceText) => ({
      ...ended.patch(at, traceText),
      usage: { ...addUsage(spentIn(traceText), usageOf(usage)) },
    }),
  };
}

/** What a task has used so far, all its attempts together. */
export function spentIn(traceText: string | null): Usage | undefined {
  return usageOf(parseTrace(traceText)?.usage);
}

/** Notes what happened in a run, and its session; the run goes on. */
export function noteInRun(
  claimed: Held,
  { kind, detail, session, workspace }: {
    readonly kind: RunNoteKind;
    readonly detail: string;
    readonly session?: AgentSession;
    readonly workspace?: TaskWorkspace;
  },
): Transition {
  return transition(claimed, {
    from: "running",
    to: "running",
    event: kind,
    keepsLease: true,
    detail,
    // Not HandsFree's.
    ...(session || workspace) && {
      patch: () => ({
        ...session && { session: sessionJson(session) },
        ...workspace && { [WORKSPACE_KEY]: { ...workspace } },
      }),
    },
  });
}

function sessionJson({ used, told, ...rest }: AgentSession): JsonObject {
  return {
    ...rest,
    ...used && { used: { ...used } },
    ...told && { told: { ...told } },
  };
}

/** Notes how far a run is; the run goes on. */
export function noteProgress(claimed: Held, note: ProgressNote): Transition {
  return transition({ ...claimed, note }, {
    from: "running",
    to: "running",
    event: "progress",
    keepsLease: true,
    detail: progressText(note),
  });
}
