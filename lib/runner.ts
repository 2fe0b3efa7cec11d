/**
 * The runner: claims tasks, executes them, records what came of them. Once or
 * for ever, by the same path.
 *
 * @module
 */

import type { Clock } from "./clock.ts";
import { DisabledError, messageOf } from "./errors.ts";
import { RunnerEvents } from "./events.ts";
import { execute } from "./executor.ts";
import { Idle } from "./idle.ts";
import type { Log } from "./log.ts";
import { runPool } from "./pool.ts";
import type { ProcessorLookup } from "./processor.ts";
import { Recorder } from "./recorder.ts";
import {
  logExhausted,
  logSkipped,
  logStart,
  logTransition,
} from "./runner_log.ts";
import { notePatch, type Run, Runs } from "./runs.ts";
import type { TaskStore } from "./store.ts";
import type { ClaimedTask, TaskEventKind } from "./task.ts";
import { release } from "./transitions.ts";
import { transitionFor } from "./verdict.ts";

/** How a runner works. Durations are in milliseconds. */
export interface RunnerSettings {
  readonly enabled: boolean;
  /** Tasks that run at the same time. */
  readonly concurrency: number;
  /** How long a claim is good for without a renewal. */
  readonly leaseMs: number;
  /** Claims of a task whose runner dies, before it is failed. */
  readonly maxAttempts: number;
  /** The longest wait between two looks at the queue. */
  readonly intervalMs: number;
  /** How long a shutdown waits for the tasks in hand. */
  readonly drainMs: number;
}

/** What a runner is made of. */
export interface RunnerParts {
  readonly store: TaskStore;
  readonly processorFor: ProcessorLookup;
  readonly clock: Clock;
  readonly log: Log;
  /** The runner's name in leases and in the history. */
  readonly owner: string;
  readonly settings: RunnerSettings;
}

/** A runner; dispose of it when it has run. */
export interface Runner extends RunnerParts, AsyncDisposable {
  readonly events: RunnerEvents;
  readonly recorder: Recorder;
  readonly runs: Runs;
}

/** How a run is told to end. */
export interface StopSignals {
  /** Claim no more; finish the tasks in hand. */
  readonly drain: AbortSignal;
  /** Stop the tasks in hand too, and give them back. */
  readonly abort: AbortSignal;
}

/** What came of a task that was processed. */
export type TaskResult =
  | "completed"
  | "failed"
  | "needs_input"
  | "retrying"
  | "released"
  /** The lease was lost: nothing was written. */
  | "skipped";

const RESULTS: { readonly [kind in TaskEventKind]?: TaskResult } = {
  completed: "completed",
  failed: "failed",
  needs_input: "needs_input",
  retry_scheduled: "retrying",
};

/** What a pass did. */
export interface RunSummary {
  readonly started: number;
  readonly completed: number;
  readonly failed: number;
  /** Given back, retried later, waiting for an answer, or lost to another. */
  readonly skipped: number;
}

/** Puts a runner together. */
export function createRunner(parts: RunnerParts): Runner {
  const { store, clock, log, settings } = parts;
  const { leaseMs } = settings;
  const recorder = new Recorder({ store, clock, log, retryMs: leaseMs });
  const runs = new Runs({ store, recorder, clock, log, leaseMs });
  const events = new RunnerEvents((error) =>
    log.error(`A subscriber failed: ${messageOf(error)}`)
  );
  return {
    ...parts,
    events,
    recorder,
    runs,
    [Symbol.asyncDispose]: () => runs[Symbol.asyncDispose](),
  };
}

/**
 * Checks that the runner may run.
 *
 * @throws {DisabledError} where it was not enabled.
 */
export function assertEnabled({ enabled }: { enabled: boolean }): void {
  if (enabled) return;
  throw new DisabledError(
    "Cannot run tasks: the runner is disabled. " +
      "Set HANDSFREE_AGENT_RUNNER_ENABLED=true to enable it.",
  );
}

/** Claims up to `limit` tasks: higher priority first, then oldest first. */
export async function autoStartCreatedTasks(
  runner: Runner,
  limit: number,
): Promise<readonly ClaimedTask[]> {
  const { store, clock, log, owner, settings, events, runs } = runner;
  const { claimed, exhausted } = await store.claim({
    limit,
    owner,
    leaseMs: settings.leaseMs,
    maxAttempts: settings.maxAttempts,
    now: clock.now(),
  });
  for (const task of exhausted) logExhausted(log, task);
  for (const item of claimed) runs.add(item);
  events.emit({ type: "claimed", tasks: claimed.map(({ task }) => task) });
  return claimed;
}

/**
 * Executes a claimed task and records its outcome. Resolves when that is
 * committed; `onExecuted` is called before, when the work itself is over.
 *
 * @throws {DatabaseError} where the outcome can't be recorded. The task then
 * keeps its lease until that runs out, and is claimed again.
 */
export async function processRunningTask(
  runner: Runner,
  claimed: ClaimedTask,
  onExecuted?: () => void,
): Promise<TaskResult> {
  const { clock, log, events, recorder, runs, processorFor } = runner;
  const { task } = claimed;
  const run = runs.get(claimed) ?? runs.add(claimed);
  try {
    const startedAt = clock.monotonic();
    logStart(log, task);
    const outcome = await execute(task, {
      processorFor,
      clock,
      stop: run.stop,
      onProgress: (message) => updateProgress(runner, run, message),
    });
    const runMs = clock.monotonic() - startedAt;
    onExecuted?.();
    run.isRecording = true;
    const transition = transitionFor(run.claimed, outcome, {
      now: clock.now(),
      note: notePatch(run),
    });
    const result = transition && await recorder.record(transition);
    if (!transition || !result?.applied) {
      events.emit({ type: "lost", task });
      logSkipped(log, task, await runner.store.get(task.id));
      return "skipped";
    }
    events.emit({ type: "recorded", task, transition, runMs });
    logTransition(log, transition, runMs);
    return RESULTS[transition.event] ?? "released";
  } finally {
    runs.delete(run);
  }
}

/** Notes how far a run is; written with others within a second. */
export function updateProgress(
  { clock, log }: Runner,
  run: Run,
  message: string,
): void {
  run.note = { message, at: clock.now() };
  if (log.isDebug) log.debug(`Task ${run.claimed.task.id}: ${message}`);
}

/**
 * Runs what is claimable until nothing is left, or until it is told to stop.
 *
 * @throws {DisabledError} where the runner is not enabled.
 * @throws {DatabaseError} where the store can't be used.
 */
export async function runOnce(
  runner: Runner,
  signals: StopSignals,
): Promise<RunSummary> {
  assertEnabled(runner.settings);
  const failure = new AbortController();
  const drain = AbortSignal.any([signals.drain, failure.signal]);
  const summary = await runUntil(runner, { ...signals, drain }, {
    claim: (limit) => autoStartCreatedTasks(runner, limit),
    onError: (error) => failure.abort(error),
  });
  if (failure.signal.aborted) throw failure.signal.reason;
  return summary;
}

/**
 * Runs what is claimable, and what becomes so, until it is told to stop. An
 * error is logged, and the loop goes on.
 *
 * @throws {DisabledError} where the runner is not enabled.
 */
export async function runLoop(
  runner: Runner,
  signals: StopSignals,
): Promise<RunSummary> {
  assertEnabled(runner.settings);
  const { store, clock, log, settings } = runner;
  const { intervalMs } = settings;
  using idle = new Idle({ store, clock, log, intervalMs, stop: signals.drain });
  const onError = (error: unknown) =>
    log.error(`A pass failed: ${messageOf(error)}`);
  return await runUntil(runner, signals, {
    claim: async (limit) => {
      try {
        return await autoStartCreatedTasks(runner, limit);
      } catch (error) {
        onError(error);
        return [];
      }
    },
    onError,
    waitForMore: () => idle.wait(),
  });
}

interface Mode {
  readonly claim: (limit: number) => Promise<readonly ClaimedTask[]>;
  readonly onError: (error: unknown) => void;
  readonly waitForMore?: () => Promise<void>;
}

async function runUntil(
  runner: Runner,
  { drain, abort }: StopSignals,
  { claim, onError, waitForMore }: Mode,
): Promise<RunSummary> {
  const { clock, recorder, runs, settings } = runner;
  const counts = { started: 0, completed: 0, failed: 0, skipped: 0 };
  const { unstarted, settled } = await runPool<ClaimedTask>({
    concurrency: settings.concurrency,
    clock,
    claim,
    waitForMore,
    stop: drain,
    run: async (claimed, freeSlot) => {
      counts.started++;
      try {
        const result = await processRunningTask(runner, claimed, freeSlot);
        if (result === "completed" || result === "failed") counts[result]++;
        else counts.skipped++;
      } catch (error) {
        counts.skipped++;
        onError(error);
      }
    },
  });
  await Promise.all(unstarted.map(async (claimed) => {
    await recorder.record(release(claimed, "The runner was stopped"));
    const run = runs.get(claimed);
    if (run) runs.delete(run);
  })).catch(onError);
  const done = new AbortController();
  const stopRuns = async () => {
    await clock.sleep(settings.drainMs, AbortSignal.any([abort, done.signal]));
    if (!done.signal.aborted) runs.stopAll("shutdown");
  };
  const stopping = stopRuns();
  await settled;
  done.abort();
  await stopping;
  return counts;
}
