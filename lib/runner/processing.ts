/**
 * One run of a task: begun, executed, recorded with others.
 *
 * @module
 */

import { cut } from "../base/cut.ts";
import { messageOf } from "../base/errors.ts";
import { orAborted } from "../base/wake.ts";
import { transitionFor } from "../task/after_run.ts";
import { MAX_TEXT_CHARACTERS } from "../task/outcome.ts";
import { type Progress, progressOf } from "../task/progress.ts";
import { priced } from "../task/usage.ts";
import { begin, noteInRun, release } from "../task/transitions.ts";
import { RESULTS, type Runner, type TaskResult } from "./context.ts";
import { execute } from "./execute.ts";
import {
  logProgress,
  logSkipped,
  logStart,
  logTransition,
  logUnrecorded,
  outputOf,
} from "./log.ts";
import { settingsFor } from "./providers.ts";
import type { Run } from "./runs.ts";

/** Is told of a run. */
export interface RunListener {
  /** The limit of its provider is reached: none of that may start. Called first. */
  readonly onLimit: () => void;
  /** The work is over, and took so long; another run may start. Called next. */
  readonly onOver: (runMs: number) => void;
  /** It completed, and not all is as it should be. Called before the next. */
  readonly onWarning: () => void;
  /** What came of it is committed, or nothing can be. */
  readonly onResult: (result: TaskResult) => void;
}

/** Begins, executes and records a claimed task. Never rejects. */
export async function executeRun(
  runner: Runner,
  run: Run,
  { onLimit, onOver, onWarning, onResult }: RunListener,
): Promise<void> {
  const { clock, log, processorFor, recorder, events, runs, settings } = runner;
  const { task } = run;
  // A run of this task that has lost its lease is ended first.
  const before = runs.add(run);
  if (before) await before.gone();
  // Where this process was stopped meanwhile, somebody else may have it by now.
  if (clock.monotonic() >= run.heldUntil) run.stop("lease lost");
  const wasLost = run.reason === "lease lost";
  run.isSimulated = processorFor(task.provider)?.isSimulated ?? false;
  if (!run.isBegun && !wasLost) {
    const isBegun = beginHeld(runner, run);
    // Should this process die in between, its attempt would not be spent.
    if (!run.isSimulated) await isBegun;
  }
  const own = settingsFor(task.provider, settings.providers);
  const startedAt = clock.monotonic();
  if (!run.reason) logStart(log, task);
  const outcome = await execute(task, {
    processorFor,
    clock,
    stop: run,
    timeoutMs: task.timeoutMs ?? own?.timeoutMs ?? settings.timeoutMs,
    onProgress: (message, fraction) =>
      updateProgress(runner, run, progressOf(message, fraction)),
    onNote: (kind, detail, kept) =>
      noteInHistory(runner, run, {
        kind,
        detail: cut(detail, MAX_TEXT_CHARACTERS),
        ...kept,
      }),
    onOutput: outputOf(run, runner),
    loadResults: () => runner.queue.results(task.id),
  });
  run.end();
  const runMs = clock.monotonic() - startedAt;
  const transition = wasLost && run.isBegun
    // Its processor was not called: that costs no attempt.
    ? release(run, "Its lease was over before it could begin")
    : transitionFor(run, {
      ...outcome,
      usage: priced(outcome.usage, own?.prices),
    }, {
      attempts: own?.attempts ?? settings.attempts,
      backoff: own?.backoff,
    });
  const lost = () => tellLost(runner, run).then(() => onResult("skipped"));
  const { limit, usage } = transition ?? {};
  const mayPause = limit || usage && runner.budgets.isLimited(task.provider);
  const hold = mayPause ? runner.pauses.hold(task.provider) : undefined;
  if (limit) onLimit();
  onOver(runMs);
  if (!transition) return await lost();
  recorder.add(transition, (result, at) => {
    // Until all are told, who then look for more.
    using _ = hold;
    if (result === "lost") {
      lost();
      return;
    }
    runs.delete(run);
    if (result === "written") {
      const { isSimulated } = run;
      events.emit({ type: "recorded", task, transition, runMs, isSimulated });
      logTransition(log, transition, { at, provider: task.provider, runMs });
      if (transition.warning !== undefined) onWarning();
      onResult(RESULTS[transition.event as keyof typeof RESULTS]);
    } else {
      logUnrecorded(log, transition, result);
      events.emit({ type: "pass failed", error: result });
      onResult("skipped");
    }
  });
}

/** Spends the attempt of a task that was held only. */
async function beginHeld(
  { recorder, events, log }: Runner,
  run: Run,
): Promise<void> {
  const transition = begin(run, run.claimedState);
  const result = await recorder.record(transition);
  if (result === "written") {
    events.emit({ type: "begun", tasks: [run.task] });
    return;
  }
  // Nothing that comes of it could be written.
  if (result !== "lost") logUnrecorded(log, transition, result);
  run.stop("lease lost");
}

/** More than these are not looked up: a run is not over before that is done. */
const MOST_LOOKUPS = 10;

/** Somebody else has the task, or had it: says who. */
async function tellLost(
  { runs, events, log, admin, recorder, lookups }: Runner,
  run: Run,
): Promise<void> {
  const { id } = run.task;
  runs.delete(run);
  events.emit({ type: "lost", task: run.task });
  if (lookups.size >= MOST_LOOKUPS) return logSkipped(log, run, undefined);
  lookups.add(run);
  const looking = admin.get(id).then((task) => task ?? null, (error) => {
    log.warning(`Cannot look up task ${id}: ${messageOf(error)}`, {
      event: "lookup_failed",
      task: id,
      error: messageOf(error),
    });
    return undefined;
  });
  const now = await orAborted(looking, recorder.abandoned);
  lookups.delete(run);
  logSkipped(log, run, now);
}

/** Written with others; what is not is said, and the run goes on. */
function noteInHistory(
  { recorder, log, pauses, events }: Runner,
  run: Run,
  given: Parameters<typeof noteInRun>[1],
): void {
  if (run.isOver) return;
  // Most runs go on where nobody spoke of a limit.
  const isNews = given.kind !== "limit_over" ||
    pauses.has(run.task.provider, "limit");
  if (!isNews) return;
  const note = noteInRun(run, given);
  recorder.add(note, (result) => {
    if (result instanceof Error) logUnrecorded(log, note, result);
    const { provider } = run.task;
    const isOver = result === "written" && given.kind === "limit_over";
    if (isOver) events.emit({ type: "usable", provider });
  });
}

/** Notes how far a run is; written with others within a second. */
export function updateProgress(
  { clock, log, watcher }: Runner,
  run: Run,
  { message, fraction }: Progress,
): void {
  run.fraction = fraction ?? run.fraction;
  run.note = { message, fraction: run.fraction, at: clock.now() };
  if (watcher) watcher.progress(run.task, run.note);
  else if (log.isDebug) logProgress(log, run.task, run.note);
}
