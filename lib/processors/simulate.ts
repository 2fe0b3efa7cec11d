/**
 * The default processor: waits a little and does nothing to the outside world.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import type { Processor, ProcessorContext } from "./processor.ts";
import type { AgentTask, JsonObject, Outcome } from "../task/task.ts";

/** Options for {@linkcode createSimulateProcessor}. */
export interface SimulateOptions {
  /** How long a task takes, in milliseconds; 0 means no time at all. */
  readonly delayMs: number;
  /** Every task fails. */
  readonly fails: boolean;
  readonly clock: Clock;
}

/**
 * Makes the simulating processor. A task whose trace has `simulate_failure`
 * fails: with that text, or with a default one where it is true. One whose trace
 * has the text `simulate_question` asks that, and completes with the answer.
 */
export function createSimulateProcessor(options: SimulateOptions): Processor {
  const { delayMs, fails, clock } = options;
  return {
    name: "simulate",
    isSimulated: true,
    describe: () =>
      `waits ${delayMs / 1_000} s, then ${fails ? "fails" : "completes"}`,
    async process(
      { traceText }: AgentTask,
      context: ProcessorContext,
    ): Promise<Outcome> {
      if (delayMs > 0) {
        context.progress("Working on the task (simulated)");
        await clock.sleep(delayMs, context.signal);
        if (context.signal.aborted) {
          return { kind: "failed", error: "Stopped", retryable: true };
        }
      }
      // Reading a trace costs more than all the rest.
      const wish = traceText?.includes("simulate_") ? context.trace : undefined;
      const failure = wish?.simulate_failure || fails;
      if (!failure) {
        return wish ? asked(wish, context) : { kind: "completed" };
      }
      const error = typeof failure === "string" ? failure : "Simulated failure";
      return { kind: "failed", error, retryable: true };
    },
  };
}

function asked(
  { simulate_question: question }: JsonObject,
  { answers }: ProcessorContext,
): Outcome {
  if (typeof question !== "string") return { kind: "completed" };
  const [given] = answers;
  return given
    ? { kind: "completed", result: given.answer }
    : { kind: "needs_input", question };
}
