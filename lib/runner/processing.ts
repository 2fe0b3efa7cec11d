/**
 * One run of a task: executed, then recorded with others. In two steps, so that
 * a slot is free, and a run's memory too, before its outcome is committed.
 *
 * @module
 */

import { execute } from "./execute.ts";
import { type Progress, progressOf } from "../task/progress.ts";
import { settingsFor } from "./providers.ts";
import type { Recordable } from "./recorder.ts";
import type { Runner, TaskResult } from "./context.ts";
import {
  logProgress,
  logSkipped,
  logStart,
  logTransition,
  logUnrecorded,
  outputOf,
} from "./log.ts";
import type { Run } from "./runs.ts";
import type { RecordResult } from "../store/contract.ts";
import type { TaskEventKind, Transition } from "../task/task.ts";
import { transitionFor } from "../task/after_run.ts";

const RESULTS: { readonly [kind in TaskEventKind]?: TaskResult } = {
  completed: "completed",
  failed: "failed",
  needs_input: "needs_input",
  retry_scheduled: "retrying",
  cancelled: "cancelled",
};

/** Is told what came of runs. */
export interface RunListener {
  ended(result: TaskResult): void;
  /** The outcome could not be recorded. */
  failed(error: unknown): void;
}

/**
 * Executes a claimed task, and hands its outcome to the recorder. Resolves when
 * its work is over, and before anything is recorded.
 */
export async function executeRun(
  runner: Runner,
  run: Run,
  listener: RunListener,
): Promise<void> {
  const { clock, log, processorFor, recorder, settings } = runner;
  const { task } = run;
  const own = settingsFor(task.provider, settings.providers);
  const startedAt = clock.monotonic();
  logStart(log, task);
  const outcome = await execute(task, {
    processorFor,
    clock,
    stop: run,
    timeoutMs: task.timeoutMs ?? own?.timeoutMs ?? settings.timeoutMs,
    onProgress: (message, fraction) =>
      updateProgress(runner, run, progressOf(message, fraction)),
    onOutput: outputOf(task, runner),
  });
  run.isRecording = true;
  const transition = transitionFor(run, outcome, {
    now: clock.now(),
    attempts: own?.attempts ?? settings.attempts,
    backoff: own?.backoff,
  });
  const runMs = clock.monotonic() - startedAt;
  if (!transition) return await skip(runner, run, listener);
  recorder.add(new EndedRun(runner, { run, transition, runMs, listener }));
}

interface EndedRunParts {
  readonly run: Run;
  readonly transition: Transition;
  readonly runMs: number;
  readonly listener: RunListener;
}

/** A run whose work is over, for the recorder. */
class EndedRun implements Recordable {
  readonly transition: Transition;
  readonly #runner: Runner;
  readonly #parts: EndedRunParts;

  constructor(runner: Runner, parts: EndedRunParts) {
    this.#runner = runner;
    this.#parts = parts;
    this.transition = parts.transition;
  }

  written({ applied }: RecordResult): void | Promise<void> {
    const { run, transition, runMs, listener } = this.#parts;
    if (!applied) return skip(this.#runner, run, listener);
    const { runs, events, log } = this.#runner;
    runs.delete(run);
    events.emit({ type: "recorded", task: run.task, transition, runMs });
    logTransition(log, transition, { provider: run.task.provider, runMs });
    listener.ended(RESULTS[transition.event] ?? "released");
  }

  failed(error: unknown): void {
    const { run, listener } = this.#parts;
    const { runs, log } = this.#runner;
    runs.delete(run);
    logUnrecorded(log, this.transition, error);
    listener.failed(error);
  }
}

/** The lease was lost: says who has the task now. */
async function skip(
  { runs, events, log, store }: Runner,
  run: Run,
  listener: RunListener,
): Promise<void> {
  runs.delete(run);
  events.emit({ type: "lost", task: run.task });
  try {
    logSkipped(log, run.task, await store.get(run.task.id));
    listener.ended("skipped");
  } catch (error) {
    listener.failed(error);
  }
}

/** Notes how far a run is; written with others within a second. */
export function updateProgress(
  { clock, log, watcher }: Runner,
  run: Run,
  { message, fraction }: Progress,
): void {
  run.note = {
    message,
    fraction: fraction ?? run.note?.fraction,
    at: clock.now(),
  };
  if (watcher) watcher.progress(run.task, run.note);
  else if (log.isDebug) logProgress(log, run.task, run.note);
}
