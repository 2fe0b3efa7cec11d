/**
 * Decides what the outcome of a run means for its task.
 *
 * @module
 */

import { backoffMs } from "../base/backoff.ts";
import type { AbortReason, ClaimedTask, Outcome, Transition } from "./task.ts";
import {
  askInput,
  cancel,
  complete,
  fail,
  type Held,
  release,
  retryLater,
} from "./transitions.ts";

/** Delays between the attempts of a task whose processor failed. */
const RETRY_BACKOFF = { baseMs: 1_000, maxMs: 5 * 60_000 };

/** Options for {@linkcode transitionFor}. */
export interface VerdictOptions {
  readonly now: Date;
  /** Attempts before a failure is final, for a task that says nothing else. */
  readonly attempts: number;
  /** Delays between the attempts. @default {1 s to 5 min} */
  readonly backoff?: { readonly baseMs: number; readonly maxMs: number };
}

/** The transition to record; undefined where nothing may be written. */
export function transitionFor(
  claimed: ClaimedTask & Held,
  outcome: Outcome,
  options: VerdictOptions,
): Transition | undefined {
  const { now } = options;
  switch (outcome.kind) {
    case "completed":
      return complete(claimed, now, outcome);
    case "needs_input":
      return askInput(claimed, now, outcome.question, outcome);
    case "aborted":
      return afterAbort(claimed, outcome.reason, options);
    case "failed": {
      const { error, retryable, retryAfterMs = 0 } = outcome;
      const { attempt, maxAttempts } = claimed.task;
      if (!retryable || attempt >= (maxAttempts ?? options.attempts)) {
        return fail(claimed, now, error);
      }
      const waitMs = Math.max(
        retryAfterMs,
        backoffMs(attempt, options.backoff ?? RETRY_BACKOFF),
      );
      const runAt = new Date(now.getTime() + waitMs);
      return retryLater(claimed, now, { error, runAt });
    }
  }
}

function afterAbort(
  claimed: ClaimedTask,
  reason: AbortReason,
  { now }: VerdictOptions,
): Transition | undefined {
  switch (reason) {
    case "shutdown":
      return release(claimed, "The runner was stopped");
    case "cancelled":
      return cancel(claimed, now);
    case "lease lost":
      return undefined; // Somebody else's now: nothing may be written.
  }
}
