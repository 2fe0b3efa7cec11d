/**
 * Executes one task: looks up its processor and turns whatever happens into an
 * outcome. Never throws, never sees the store.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { cut } from "../base/cut.ts";
import { messageOf } from "../base/errors.ts";
import { checkedOutcome } from "../task/outcome.ts";
import type {
  ProcessorContext,
  ProcessorLookup,
} from "../processors/processor.ts";
import type {
  AgentTask,
  Answer,
  JsonObject,
  Outcome,
  StopReason,
  TaskResult,
} from "../task/task.ts";
import { MAX_PROGRESS_CHARACTERS } from "../task/progress.ts";
import { answersOf, parseTrace } from "../task/trace.ts";
import { needsStart } from "../task/workspace.ts";

/**
 * Tells one run to stop. Its abort signal is made when somebody looks at it: making
 * one for each of 100,000 short runs costs more than the runs.
 */
export class StopSwitch {
  #reason: StopReason | undefined;
  #controller: AbortController | undefined;

  /** Why the run must stop; undefined while it may go on. */
  get reason(): StopReason | undefined {
    return this.#reason;
  }

  /** Aborts when the run must stop. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#reason) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Called when the run must stop; set by whoever executes it. */
  onStop: (() => void) | undefined;

  /** Stops the run; the first reason counts. */
  stop(reason: StopReason): void {
    if (this.#reason) return;
    this.#reason = reason;
    this.#controller?.abort(reason);
    this.onStop?.();
  }
}

/** Options for {@linkcode execute}. */
export interface ExecuteOptions {
  readonly processorFor: ProcessorLookup;
  readonly clock: Clock;
  /** Stops the run. */
  readonly stop: StopSwitch;
  /** How long the run may take; 0 means as long as it wants. */
  readonly timeoutMs: number;
  /** Takes the processor's notes on how far it is; `fraction` is 0 to 1. */
  readonly onProgress: (message: string, fraction?: number) => void;
  /** Takes what the processor puts into the task's history. */
  readonly onNote?: ProcessorContext["note"];
  /** Takes the lines that the work prints. */
  readonly onOutput?: ProcessorContext["output"];
  /** Loads the results of what the task waited for; asked only where it did. */
  readonly loadResults?: () => Promise<readonly TaskResult[]>;
}

/**
 * How long a processor that does not say otherwise has to return after it was
 * told to stop. Then the run ends without it, so that one that ignores its
 * signal can't keep its slot.
 */
export const ABORT_GRACE_MS = 1_000;

const NOBODY = () => {};
const NO_RESULTS: readonly TaskResult[] = [];

/** Runs the processor of a task once; not where it is to stop before it begins. */
export function execute(
  task: AgentTask,
  options: ExecuteOptions,
): Promise<Outcome> {
  const { processorFor, clock, stop, timeoutMs } = options;
  if (stop.reason) return Promise.resolve(stoppedBy(stop, timeoutMs));
  const processor = processorFor(task.provider);
  if (!processor) {
    return Promise.resolve({
      kind: "failed",
      error: `No processor is configured for provider ${task.provider}`,
      retryable: false,
    });
  }
  if (needsStart(task)) return Promise.resolve(asksForStart(task));
  return new Promise((resolve) => {
    let timers: AbortController | undefined;
    const after = (ms: number, act: () => void) => {
      const { signal } = timers ??= new AbortController();
      clock.sleep(ms, signal).then(() => {
        if (!signal.aborted) act();
      });
    };
    const end = (outcome: Outcome) => {
      stop.onStop = undefined;
      timers?.abort();
      const isStopped = stop.reason && outcome.kind !== "completed";
      const { printed, usage } = outcome;
      resolve(
        isStopped
          ? {
            ...stoppedBy(stop, timeoutMs),
            ...printed && { printed },
            ...usage && { usage },
          }
          : outcome,
      );
    };
    stop.onStop = () =>
      after(
        processor.stopGraceMs ?? ABORT_GRACE_MS,
        () => end(stoppedBy(stop, timeoutMs)),
      );
    if (timeoutMs > 0) after(timeoutMs, () => stop.stop("timeout"));
    const fail = (error: unknown) =>
      end({ kind: "failed", error: messageOf(error), retryable: true });
    const begin = (results: readonly TaskResult[]) => {
      try {
        processor.process(task, new TaskContext(task, options, results)).then(
          (outcome) => end(checkedOutcome(outcome)),
          fail,
        );
      } catch (error) {
        fail(error); // Threw before it made its promise.
      }
    };
    const { loadResults } = options;
    if (!task.ifFailed || !loadResults || processor.isSimulated) {
      return begin(NO_RESULTS);
    }
    loadResults().then(
      (results) =>
        stop.reason ? end(stoppedBy(stop, timeoutMs)) : begin(results),
      (error) =>
        end({
          kind: "failed",
          error: `Cannot read what came before it: ${messageOf(error)}`,
          retryable: true,
          isUnbegun: true,
        }),
    );
  });
}

/** The processor is not called before a person has approved it. */
function asksForStart({ instruction }: AgentTask): Outcome {
  const [what = ""] = (instruction ?? "").trim().split("\n", 1);
  return {
    kind: "needs_input",
    question: what === ""
      ? "May it begin?"
      : `May it begin? ${cut(what, MAX_PROGRESS_CHARACTERS)}`,
    approval: { of: "start" },
  };
}

function stoppedBy({ reason }: StopSwitch, timeoutMs: number): Outcome {
  return !reason || reason === "timeout"
    ? {
      kind: "failed",
      error: `Timed out after ${timeoutMs / 1_000} s`,
      retryable: true,
    }
    : { kind: "aborted", reason };
}

/** Makes what a processor asks for when it asks. */
class TaskContext implements ProcessorContext {
  readonly #task: AgentTask;
  readonly #stop: StopSwitch;
  readonly progress: (message: string, fraction?: number) => void;
  readonly note: ProcessorContext["note"];
  readonly output: ProcessorContext["output"];
  readonly results: readonly TaskResult[];
  #trace: JsonObject | undefined;

  constructor(
    task: AgentTask,
    { stop, onProgress, onNote = NOBODY, onOutput = NOBODY }: ExecuteOptions,
    results: readonly TaskResult[],
  ) {
    this.#task = task;
    this.#stop = stop;
    this.progress = onProgress;
    this.note = onNote;
    this.output = onOutput;
    this.results = results;
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  get idempotencyKey(): string {
    const { id, attempt } = this.#task;
    return `${id}:${attempt}`;
  }

  get trace(): JsonObject {
    return this.#trace ??= parseTrace(this.#task.traceText) ?? {};
  }

  get answers(): readonly Answer[] {
    return answersOf(this.trace);
  }
}
