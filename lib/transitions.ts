/**
 * The writes that end, or interrupt, a run. Named constructors, so that nobody
 * can make an illegal one. What they put into the trace is HandsFree's
 * convention; keys beyond it say so.
 *
 * @module
 */

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
export interface ProgressNote {
  readonly message: string;
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
  return {
    lease,
    from,
    traceText: task.traceText,
    to: rest.to,
    event: rest.event,
    patch: note ? Object.assign(notePatch(note), rest.patch) : rest.patch,
    detail: rest.detail ?? null,
    keepsLease: rest.keepsLease ?? false,
    returnsAttempt: rest.returnsAttempt ?? false,
    runAt: rest.runAt ?? null,
  };
}

function notePatch({ message, at }: ProgressNote): JsonObject {
  return { last_progress_at: traceTime(at), progress: message };
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

/** running → needs_input: the task waits, without a lease, for an answer. */
export function askInput(
  claimed: ClaimedTask,
  now: Date,
  question: string,
): Transition {
  return transition(claimed, {
    to: "needs_input",
    event: "needs_input",
    detail: question,
    // Not HandsFree's: it has no runner that asks.
    patch: { question, question_asked_at: traceTime(now) },
  });
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
): Transition {
  return transition({ task, lease, note: { message, at } }, {
    to: "running",
    event: "progress",
    detail: message,
    keepsLease: true,
    patch: {},
  });
}
