/**
 * What processors that hand tasks to programs and services have in common: what
 * these are given, what they may ask, and how their runs end.
 *
 * @module
 */

import { UserError } from "../base/errors.ts";
import type { AgentTask, Outcome } from "../task/task.ts";
import { resultToJson } from "../task/json.ts";
import { stringifyJson } from "../task/trace.ts";
import type { ProcessorContext } from "./processor.ts";

/** Finds a variable of the runner's environment. */
export type VariableLookup = (name: string) => string | undefined;

/** The outcome of a run that was told to stop. */
export const STOPPED: Outcome = {
  kind: "failed",
  error: "Stopped",
  retryable: true,
};

/** The JSON of a task and its run. */
export function taskJson(
  task: AgentTask,
  { idempotencyKey, answers, results, trace }: ProcessorContext,
): string {
  return stringifyJson({
    id: task.id,
    user_id: task.userId,
    provider: task.provider,
    target_type: task.targetType,
    target_ref: task.targetRef,
    instruction: task.instruction,
    attempt: task.attempt,
    idempotency_key: idempotencyKey,
    answers: [...answers],
    results: results.map(resultToJson),
    trace,
  });
}

/**
 * An outcome with the time that its question waits for an answer, as configured.
 *
 * @param answerWithin in seconds; undefined for ever
 */
export function withAnswerTime(
  outcome: Outcome,
  answerWithin: number | undefined,
): Outcome {
  return outcome.kind === "needs_input" && answerWithin !== undefined
    ? { ...outcome, answerWithinMs: answerWithin * 1_000 }
    : outcome;
}

/** Options for {@linkcode RunError}. */
export interface RunErrorOptions extends ErrorOptions {
  /** False where a second try can't help. */
  readonly retryable: boolean;
  /** Not tried again sooner than after this. */
  readonly retryAfterMs?: number;
  /** The work could not begin, whatever the task. @default {false} */
  readonly isUnbegun?: boolean;
  /** It is the provider's limit, until `retryAfterMs` is over. @default {false} */
  readonly isLimit?: boolean;
}

/** Why a task could not be handed over, or was not done. */
export class RunError extends UserError {
  override readonly name = "RunError";
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly isUnbegun: boolean;
  readonly isLimit: boolean;

  constructor(message: string, options: RunErrorOptions) {
    super(message, options);
    this.retryable = options.retryable;
    this.retryAfterMs = options.retryAfterMs;
    this.isUnbegun = options.isUnbegun ?? false;
    this.isLimit = options.isLimit ?? false;
  }
}

/** The outcome of a task that could not be handed over, or was not done. */
export function failureOf(
  { message, retryable, retryAfterMs, isUnbegun, isLimit }: RunError,
): Outcome {
  if (isLimit) {
    return { kind: "limited", reason: message, waitMs: retryAfterMs };
  }
  return {
    kind: "failed",
    error: message,
    retryable,
    ...retryAfterMs !== undefined && { retryAfterMs },
    ...isUnbegun && { isUnbegun },
  };
}

/** The runs of one processor. Dispose of it to stop them. */
export class TaskRuns implements AsyncDisposable {
  readonly #runs = new Set<Promise<unknown>>();
  readonly #closed = new AbortController();

  /** Aborts when no run may go on. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /**
   * Does a task's work. A {@linkcode RunError} is a failed outcome; it is none
   * of the work's own where that was told to stop.
   */
  async run(
    { signal }: ProcessorContext,
    work: (stop: AbortSignal) => Promise<Outcome>,
  ): Promise<Outcome> {
    const stop = AbortSignal.any([signal, this.#closed.signal]);
    if (stop.aborted) return STOPPED;
    const run = work(stop);
    this.#runs.add(run);
    try {
      return await run;
    } catch (error) {
      const isOurs = error instanceof RunError;
      if (stop.aborted && (isOurs || error === stop.reason)) return STOPPED;
      if (!isOurs) throw error;
      return failureOf(error);
    } finally {
      this.#runs.delete(run);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort("shutdown");
    await Promise.allSettled(this.#runs);
  }
}
