/**
 * Executes one task: looks up its processor and turns whatever happens into an
 * outcome. Never throws, never sees the store.
 *
 * @module
 */

import type { Clock } from "./clock.ts";
import { messageOf } from "./errors.ts";
import type { ProcessorContext, ProcessorLookup } from "./processor.ts";
import type { StopSwitch } from "./stop_switch.ts";
import type { AgentTask, JsonObject, Outcome } from "./task.ts";
import { parseTrace } from "./trace.ts";

/** Options for {@linkcode execute}. */
export interface ExecuteOptions {
  readonly processorFor: ProcessorLookup;
  readonly clock: Clock;
  /** Stops the run. */
  readonly stop: StopSwitch;
  /** Takes the processor's notes on how far it is. */
  readonly onProgress: (message: string) => void;
}

/**
 * How long a processor has to return after it was told to stop. Then the run
 * ends without it, so that one that ignores its signal can't keep its slot.
 */
export const ABORT_GRACE_MS = 1_000;

/** Runs the processor of a task once. */
export async function execute(
  task: AgentTask,
  { processorFor, clock, stop, onProgress }: ExecuteOptions,
): Promise<Outcome> {
  const processor = processorFor(task.provider);
  if (!processor) {
    return {
      kind: "failed",
      error: `No processor is configured for provider ${task.provider}`,
      retryable: false,
    };
  }
  const outcome = await new Promise<Outcome>((resolve) => {
    stop.onStop = () =>
      clock.sleep(ABORT_GRACE_MS).then(() => resolve(abortedBy(stop)));
    if (stop.reason) stop.onStop();
    const context = new TaskContext(task, stop, onProgress);
    processor.process(task, context).then(resolve, (error) => {
      resolve({ kind: "failed", error: messageOf(error), retryable: true });
    });
  });
  stop.onStop = undefined;
  return stop.reason && outcome.kind !== "completed"
    ? abortedBy(stop)
    : outcome;
}

function abortedBy({ reason = "shutdown" }: StopSwitch): Outcome {
  return { kind: "aborted", reason };
}

/** Makes what a processor asks for when it asks. */
class TaskContext implements ProcessorContext {
  readonly #task: AgentTask;
  readonly #stop: StopSwitch;
  readonly progress: (message: string) => void;
  #trace: JsonObject | undefined;

  constructor(
    task: AgentTask,
    stop: StopSwitch,
    progress: (message: string) => void,
  ) {
    this.#task = task;
    this.#stop = stop;
    this.progress = progress;
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  get idempotencyKey(): string {
    return `${this.#task.id}:${this.#task.attempt}`;
  }

  get trace(): JsonObject {
    return this.#trace ??= parseTrace(this.#task.traceText) ?? {};
  }
}
