/**
 * Executes one task: looks up its processor and turns whatever happens into an
 * outcome. Never throws, never sees the store.
 *
 * @module
 */

import type { Clock } from "./clock.ts";
import { messageOf } from "./errors.ts";
import type { ProcessorLookup } from "./processor.ts";
import type { AgentTask, Outcome } from "./task.ts";
import { parseTrace } from "./trace.ts";

/** Options for {@linkcode execute}. */
export interface ExecuteOptions {
  readonly processorFor: ProcessorLookup;
  readonly clock: Clock;
  /** Stops the run. Its reason is a text. */
  readonly signal: AbortSignal;
  /** Takes the processor's notes on how far it is. */
  readonly onProgress: (message: string) => void;
}

/**
 * How long a processor has to return after its signal aborted. Then the run ends
 * without it, so that a processor that ignores the signal can't keep its slot.
 */
export const ABORT_GRACE_MS = 1_000;

/** Runs the processor of a task once. */
export async function execute(
  task: AgentTask,
  { processorFor, clock, signal, onProgress }: ExecuteOptions,
): Promise<Outcome> {
  const processor = processorFor(task.provider);
  if (!processor) {
    return {
      kind: "failed",
      error: `No processor is configured for provider ${task.provider}`,
      retryable: false,
    };
  }
  const finished = new AbortController();
  try {
    const outcome = await Promise.race([
      processor.process(task, {
        signal,
        idempotencyKey: `${task.id}:${task.attempt}`,
        trace: parseTrace(task.traceText) ?? {},
        progress: onProgress,
      }),
      abandoned(signal, finished.signal, clock),
    ]);
    return signal.aborted && outcome.kind !== "completed"
      ? abortedBy(signal)
      : outcome;
  } catch (error) {
    if (signal.aborted) return abortedBy(signal);
    return { kind: "failed", error: messageOf(error), retryable: true };
  } finally {
    finished.abort();
  }
}

function abortedBy(signal: AbortSignal): Outcome {
  return { kind: "aborted", reason: String(signal.reason) };
}

/** Resolves when the signal has been aborted for the time of grace. */
function abandoned(
  signal: AbortSignal,
  finished: AbortSignal,
  clock: Clock,
): Promise<Outcome> {
  return new Promise((resolve) => {
    const giveUp = async () => {
      await clock.sleep(ABORT_GRACE_MS, finished);
      resolve(abortedBy(signal));
    };
    if (signal.aborted) return void giveUp();
    signal.addEventListener("abort", giveUp, { once: true, signal: finished });
  });
}
