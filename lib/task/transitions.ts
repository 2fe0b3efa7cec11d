/**
 * The writes that end, or interrupt, a run. Named constructors, so that nobody
 * can make an illegal one. What they put into the trace is HandsFree's
 * convention; keys beyond it say so.
 *
 * @module
 */

import { format as formatDuration } from "@std/fmt/duration";
import { fractionAfter, type Progress, progressText } from "./progress.ts";
import {
  type AgentTask,
  canTransition,
  type ClaimedTask,
  type JsonObject,
  type JsonValue,
  type Lease,
  type NoLease,
  type Transition,
} from "./task.ts";
import { parseTrace } from "./trace.ts";

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

/** What a claim puts into the trace. */
export function startedPatch(now: Date): JsonObject {
  return {
    auto_started_at: traceTime(now),
    auto_started_by: RUNNER_ACTOR,
    progress: "Task started",
  };
}

/** A task, and the lease that its row must have. */
export interface Held {
  readonly task: AgentTask;
  readonly lease: Lease | NoLease;
  /** What its run noted last and nobody has written yet. */
  readonly note?: ProgressNote | undefined;
}

/** How far a run is, in its own words. */
export interface ProgressNote extends Progress {
  readonly at: Date;
}

function transition(
  { task, lease, note }: Held,
  rest: Pick<Transition, "to" | "event" | "patch"> & Partial<Transition>,
): Transition {
  const from = rest.from ?? "running";
  if (from !== rest.to && !canTransition(from, rest.to)) {
    throw new TypeError(`Cannot take a task from ${from} to ${rest.to}`);
  }
  const patch = note ? Object.assign(notePatch(note), rest.patch) : rest.patch;
  const fraction = fractionAfter(rest.event, task.traceText, note);
  if (fraction !== undefined) patch.progress_fraction = fraction;
  return {
    lease,
    from,
    traceText: task.traceText,
    to: rest.to,
    event: rest.event,
    patch,
    detail: rest.detail ?? null,
    keepsLease: rest.keepsLease ?? false,
    returnsAttempt: rest.returnsAttempt ?? false,
    runAt: rest.runAt ?? null,
  };
}

function notePatch({ message, fraction, at }: ProgressNote): JsonObject {
  const patch: JsonObject = {
    last_progress_at: traceTime(at),
    progress: message,
  };
  // Not HandsFree's.
  if (fraction !== undefined) patch.progress_fraction = fraction;
  return patch;
}

/** running → completed. */
export function complete(
  claimed: Held,
  now: Date,
  outcome: { result?: JsonValue; message?: string } = {},
): Transition {
  const { message, result } = outcome;
  const patch: JsonObject = {
    completed_at: traceTime(now),
    completed_by: RUNNER_ACTOR,
    result: "success",
  };
  if (message !== undefined) patch.progress = message;
  // Not HandsFree's: `result` says there that the task succeeded.
  if (result !== undefined) patch.output = result;
  return transition(claimed, {
    to: "completed",
    event: "completed",
    detail: message,
    patch,
  });
}

/** running → failed. */
export function fail(
  claimed: Held,
  now: Date,
  error: string,
): Transition {
  return transition(claimed, {
    to: "failed",
    event: "failed",
    detail: error,
    patch: failedPatch(now, error),
  });
}

/** What a failure puts into the trace. */
export function failedPatch(now: Date, error: string): JsonObject {
  return { failed_at: traceTime(now), failed_by: RUNNER_ACTOR, error };
}

/**
 * Any state that is not final → failed, because somebody cancelled the task.
 * Without a lease, for a task that nobody works on.
 */
export function cancel(held: Held, now: Date): Transition {
  return transition(held, {
    from: held.task.state,
    to: "failed",
    event: "cancelled",
    patch: {
      ...failedPatch(now, "Cancelled"),
      cancelled_at: traceTime(now),
      result: "cancelled",
    },
  });
}

/**
 * running → needs_input: the task waits, without a lease, for an answer. The
 * attempt goes on with the answer, so it is not counted twice.
 */
export function askInput(
  claimed: ClaimedTask,
  now: Date,
  question: string,
  { answerWithinMs }: { answerWithinMs?: number } = {},
): Transition {
  const runAt = answerWithinMs === undefined
    ? null
    : new Date(now.getTime() + answerWithinMs);
  return transition(claimed, {
    to: "needs_input",
    event: "needs_input",
    detail: question,
    returnsAttempt: true,
    runAt,
    // Not HandsFree's: it has no runner that asks.
    patch: {
      question,
      question_asked_at: traceTime(now),
      ...(runAt ? { answer_by: traceTime(runAt) } : {}),
    },
  });
}

/** needs_input → running, without a lease: the next claim has the answer. */
export function answer(held: Held, now: Date, text: string): Transition {
  const trace = parseTrace(held.task.traceText) ?? {};
  const before = trace.answers ?? [];
  return transition(held, {
    from: "needs_input",
    to: "running",
    event: "answered",
    detail: text,
    patch: {
      answers: [
        // What somebody else put there is no answer, and stays.
        ...(Array.isArray(before) ? before : [before]),
        {
          question: questionOf(trace) ?? "",
          answer: text,
          answered_at: traceTime(now),
        },
      ],
      question: null,
      ...(trace.answer_by === undefined ? {} : { answer_by: null }),
    },
  });
}

/** The question that a task waits with, as its trace has it. */
export function questionOf(trace: JsonObject | undefined): string | undefined {
  return typeof trace?.question === "string" ? trace.question : undefined;
}

/** needs_input → failed: nobody answered in time. */
export function expire(held: Held, now: Date): Transition {
  const trace = parseTrace(held.task.traceText);
  const askedAt = Date.parse(String(trace?.question_asked_at));
  const waitMs = (held.task.runAt ?? now).getTime() - askedAt;
  const within = waitMs > 0
    ? `within ${formatDuration(waitMs, { ignoreZero: true })}`
    : "in time";
  const error = `Nobody answered ${within}: ${questionOf(trace) ?? ""}`;
  return { ...fail(held, now, error), from: "needs_input" };
}

/** Stays running, without a lease, until `runAt`. */
export function retryLater(
  claimed: ClaimedTask,
  now: Date,
  { error, runAt }: { error: string; runAt: Date },
): Transition {
  return transition(claimed, {
    to: "running",
    event: "retry_scheduled",
    detail: error,
    runAt,
    // Not HandsFree's: it does not retry.
    patch: {
      last_error: error,
      last_failed_at: traceTime(now),
      retry_at: traceTime(runAt),
    },
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
    patch: { answer_by: null },
  });
}

/** Whether that is what happened to a task that is running and not claimable. */
export function isAnsweredElsewhere(
  { state, runAt, traceText }: AgentTask,
): boolean {
  return state === "running" && runAt !== null &&
    parseTrace(traceText)?.answer_by === traceTime(runAt);
}

/** Gives a task back as if it had not been claimed; costs no attempt. */
export function release(claimed: ClaimedTask, reason: string): Transition {
  return transition(claimed, {
    to: "running",
    event: "released",
    detail: reason,
    returnsAttempt: true,
    patch: {},
  });
}

/** Notes how far a run is; the run goes on. */
export function noteProgress(
  { task, lease }: ClaimedTask,
  at: Date,
  message: string,
  { fraction }: { fraction?: number } = {},
): Transition {
  const note = { message, fraction, at };
  return transition({ task, lease, note }, {
    to: "running",
    event: "progress",
    keepsLease: true,
    detail: progressText(note),
    patch: {},
  });
}
