/**
 * What the outcome of a run means for its task.
 *
 * @module
 */

import { backoffMs } from "../base/backoff.ts";
import { cut } from "../base/cut.ts";
import { MAX_PROGRESS_CHARACTERS } from "./progress.ts";
import type { Outcome, Transition } from "./task.ts";
import {
  askInput,
  cancel,
  complete,
  fail,
  type Held,
  limited,
  release,
  retryLater,
  withPrinted,
  withUsage,
} from "./transitions.ts";

type Failed = Extract<Outcome, { kind: "failed" }>;

/** Delays between the attempts of a task whose processor failed. */
const RETRY_BACKOFF = { baseMs: 1_000, maxMs: 5 * 60_000 };

/** Whatever keeps it from beginning, a person has to mend. */
const UNBEGUN_MS = 5 * 60_000;

/** Options for {@linkcode transitionFor}. */
export interface RetrySettings {
  /** Attempts before a failure is final, for a task that says nothing else. */
  readonly attempts: number;
  /** Delays between the attempts. @default {1 s to 5 min} */
  readonly backoff?: { readonly baseMs: number; readonly maxMs: number };
}

/** The transition to record; undefined where nothing may be written. */
export function transitionFor(
  run: Held,
  outcome: Outcome,
  settings: RetrySettings,
): Transition | undefined {
  const ended = endOf(run, outcome, settings);
  const { printed, usage } = outcome;
  if (!ended) return undefined;
  const { provider } = run.task;
  const told = usage ? withUsage(ended, { ...usage, provider }) : ended;
  return printed ? withPrinted(told, printed) : told;
}

function endOf(
  run: Held,
  outcome: Outcome,
  settings: RetrySettings,
): Transition | undefined {
  switch (outcome.kind) {
    case "completed":
      return complete(run, outcome);
    case "limited":
      return limited(run, outcome);
    case "needs_input":
      return askInput(run, outcome.question, outcome);
    case "failed": {
      const { error, pausesProvider } = outcome;
      const ended = endOfFailure(run, outcome, settings);
      if (!pausesProvider) return ended;
      const { provider } = run.task;
      const reason = cut(error, MAX_PROGRESS_CHARACTERS);
      return { ...ended, limit: { provider, reason } };
    }
    case "aborted":
      switch (outcome.reason) {
        case "shutdown":
          return release(run, "The runner was stopped");
        case "cancelled":
          return cancel(run, "running");
        case "lease lost":
          return undefined; // Somebody else's now: nothing may be written.
      }
  }
}

function endOfFailure(
  run: Held,
  { error, retryable, retryAfterMs = 0, isUnbegun, atLast }: Failed,
  { attempts, backoff = RETRY_BACKOFF }: RetrySettings,
): Transition {
  if (isUnbegun) return release(run, error, { delayMs: UNBEGUN_MS });
  const { maxAttempts, questions } = run.task;
  const spent = run.lease.attempt - questions;
  if (!retryable || spent >= (maxAttempts ?? attempts)) {
    return atLast ? askInput(run, atLast.question, atLast) : fail(run, error);
  }
  const delayMs = Math.max(retryAfterMs, backoffMs(spent, backoff));
  return retryLater(run, { error, delayMs });
}
