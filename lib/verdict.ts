/**
 * Decides what the outcome of a run means for its task.
 *
 * @module
 */

import { backoffMs } from "./backoff.ts";
import type { ClaimedTask, JsonObject, Outcome, Transition } from "./task.ts";
import {
  askInput,
  complete,
  fail,
  release,
  retryLater,
} from "./transitions.ts";

/** Delays between the attempts of a task whose processor failed. */
const RETRY_BACKOFF = { baseMs: 1_000, maxMs: 5 * 60_000 };

/** Options for {@linkcode transitionFor}. */
export interface VerdictOptions {
  readonly now: Date;
  /** What the run noted last and nobody has written yet. */
  readonly note: JsonObject;
}

/** The transition to record; undefined where nothing may be written. */
export function transitionFor(
  claimed: ClaimedTask,
  outcome: Outcome,
  { now, note }: VerdictOptions,
): Transition | undefined {
  const transition = bareTransition(claimed, outcome, now);
  return transition &&
    { ...transition, patch: { ...note, ...transition.patch } };
}

function bareTransition(
  claimed: ClaimedTask,
  outcome: Outcome,
  now: Date,
): Transition | undefined {
  switch (outcome.kind) {
    case "completed":
      return complete(claimed, now, outcome);
    case "needs_input":
      return askInput(claimed, now, outcome.question);
    case "aborted":
      // A run that lost its lease may write nothing.
      return outcome.reason === "shutdown"
        ? release(claimed, "The runner was stopped")
        : undefined;
    case "failed": {
      const { error, retryable } = outcome;
      const { attempt, maxAttempts } = claimed.task;
      // A failure ends the task, as in the HandsFree runner, unless the task
      // itself asks for more attempts.
      if (!retryable || attempt >= (maxAttempts ?? 1)) {
        return fail(claimed, now, error);
      }
      const waitMs = backoffMs(attempt, RETRY_BACKOFF);
      const runAt = new Date(now.getTime() + waitMs);
      return retryLater(claimed, now, { error, runAt });
    }
  }
}
