/**
 * The runner: claims tasks, executes them, records what came of them. Once or for
 * ever, by the same path.
 *
 * @module
 */

import { DisabledError, messageOf } from "./base/errors.ts";
import {
  RESULTS,
  type Runner,
  type RunSummary,
  type StopSignals,
  type TaskResult,
} from "./runner/context.ts";
import { execute } from "./runner/execute.ts";
import {
  logProgress,
  logSkipped,
  logStart,
  logTransition,
  logUnrecorded,
  outputOf,
} from "./runner/log.ts";
import { providerRoom, settingsFor } from "./runner/providers.ts";
import { Run } from "./runner/runs.ts";
import { Slots } from "./runner/slots.ts";
import { Waiting } from "./runner/waiting.ts";
import type { Claim } from "./store/contract.ts";
import { transitionFor } from "./task/after_run.ts";
import { type Progress, progressOf } from "./task/progress.ts";
import type { AgentTask } from "./task/task.ts";
import { begin, release } from "./task/transitions.ts";

export { createRunner } from "./runner/context.ts";
export type {
  Runner,
  RunnerParts,
  RunnerSettings,
  RunSummary,
  StopSignals,
  TaskResult,
} from "./runner/context.ts";
export type { Run } from "./runner/runs.ts";

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

/** Options for {@linkcode autoStartCreatedTasks}. */
export interface ClaimRequest {
  /** How many tasks to begin. */
  readonly limit: number;
  /** How many more to hold. @default {0} */
  readonly ahead?: number;
  /** Only this one, whatever its time and its provider's limit. */
  readonly taskId?: string;
  /** Ends the wait for the store. */
  readonly signal?: AbortSignal;
}

/** What {@linkcode autoStartCreatedTasks} took in hand. */
export interface Started extends Omit<Claim, "tasks"> {
  /** In the order in which they are to run. */
  readonly runs: readonly Run[];
}

/**
 * Claims tasks: higher priority first, then oldest first.
 *
 * @throws {DatabaseError} where the store can't be used.
 */
export async function autoStartCreatedTasks(
  runner: Runner,
  { limit, ahead = 0, taskId, signal }: ClaimRequest,
): Promise<Started> {
  const { queue, clock, owner, settings, events, runs } = runner;
  const { leaseMs, maxAttempts } = settings;
  const sentAt = clock.monotonic();
  const { tasks, ...claim } = await queue.claim({
    limit,
    ahead,
    owner,
    leaseMs,
    maxAttempts,
    isIdle: runs.size === 0,
    signal,
    ...(taskId === undefined
      ? {
        providerRoom: providerRoom(runner.limits, runs),
        providers: runner.claimedProviders,
      }
      : { taskId }),
  });
  // The wait for the store, however long, was before the lease.
  const heldUntil = Math.max(sentAt, clock.monotonic() - 1_000) + leaseMs;
  events.emit({ type: "claimed" });
  const started = tasks.map((it) => new Run(it, heldUntil));
  const begun = started.filter(({ isBegun }) => isBegun);
  if (begun.length > 0) {
    events.emit({ type: "begun", tasks: begun.map(({ task }) => task) });
  }
  return { runs: started, ...claim };
}

/**
 * Executes a claimed task and records its outcome. Resolves when that is committed,
 * or known to be lost or refused.
 */
export function processRunningTask(
  runner: Runner,
  run: Run,
): Promise<TaskResult> {
  return new Promise((onResult) =>
    executeRun(runner, run, { onOver: () => {}, onResult })
  );
}

/** Is told of a run. */
interface RunListener {
  /** The work is over, and took so long; another run may start. Called first. */
  readonly onOver: (runMs: number) => void;
  /** What came of it is committed, or nothing can be. */
  readonly onResult: (result: TaskResult) => void;
}

/** Never rejects. */
async function executeRun(
  runner: Runner,
  run: Run,
  { onOver, onResult }: RunListener,
): Promise<void> {
  const { clock, log, processorFor, recorder, events, runs, settings } = runner;
  const { task } = run;
  // A run of this task that has lost its lease is ended first.
  const before = runs.add(run);
  if (before) await before.gone();
  if (!run.isBegun && !run.reason) {
    recorder.add(begin(run, run.claimedState), (result) => {
      if (result === "lost") run.stop("lease lost");
      else events.emit({ type: "begun", tasks: [task] });
    });
  }
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
  run.end();
  const runMs = clock.monotonic() - startedAt;
  const transition = transitionFor(run, outcome, {
    attempts: own?.attempts ?? settings.attempts,
    backoff: own?.backoff,
  });
  const lost = () => tellLost(runner, run).then(() => onResult("skipped"));
  onOver(runMs);
  if (!transition) return await lost();
  recorder.add(transition, (result, at) => {
    if (result === "lost") {
      lost();
      return;
    }
    runs.delete(run);
    if (result === "written") {
      events.emit({ type: "recorded", task, transition, runMs });
      logTransition(log, transition, { at, provider: task.provider, runMs });
      onResult(RESULTS[transition.event as keyof typeof RESULTS]);
    } else {
      logUnrecorded(log, transition, result);
      events.emit({ type: "pass failed", error: result });
      onResult("skipped");
    }
  });
}

/** Somebody else has the task, or had it: says who. */
async function tellLost(
  { runs, events, log, admin }: Runner,
  run: Run,
): Promise<void> {
  runs.delete(run);
  events.emit({ type: "lost", task: run.task });
  let now: AgentTask | undefined;
  try {
    now = await admin.get(run.task.id);
  } catch (error) {
    log.warning(`Cannot look up task ${run.task.id}: ${messageOf(error)}`, {
      event: "lookup_failed",
      task: run.task.id,
      error: messageOf(error),
    });
  }
  logSkipped(log, run.task, now);
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

/**
 * Runs what is claimable until nothing is left, or until it is told to stop.
 *
 * @throws {DisabledError} where the runner is not enabled.
 * @throws {DatabaseError} where the store can't be used; when the tasks in hand
 * have ended.
 */
export async function runOnce(
  runner: Runner,
  signals: StopSignals,
): Promise<RunSummary> {
  assertEnabled(runner.settings);
  const failure = new AbortController();
  const pass = new Pass(runner, signals, {
    stop: AbortSignal.any([signals.drain, failure.signal]),
    onError: (error) => failure.abort(error),
  });
  await pass.run(async () => {
    if (pass.slots.isIdle) return false;
    await pass.slots.changed;
    return true;
  });
  if (failure.signal.aborted) throw failure.signal.reason;
  return pass.summary;
}

/**
 * Runs what is claimable, and what becomes so, until it is told to stop. An error
 * is logged, and the loop goes on.
 *
 * @throws {DisabledError} where the runner is not enabled.
 */
export async function runLoop(
  runner: Runner,
  signals: StopSignals,
): Promise<RunSummary> {
  assertEnabled(runner.settings);
  const { queue, clock, log, settings } = runner;
  const { intervalMs } = settings;
  const stop = signals.drain;
  using waiting = new Waiting({ queue, clock, log, intervalMs, stop });
  // A retry is due before what the wait began with, perhaps.
  using _retries = runner.events.subscribe((event) => {
    if (event.type === "recorded" && event.transition.delayMs !== null) {
      waiting.wake();
    }
  });
  const pass = new Pass(runner, signals, {
    stop,
    beforeClaim: () => waiting.beforeClaim(),
    onError: (error) => {
      log.error(`A pass failed: ${messageOf(error)}`, {
        event: "pass_failed",
        error: messageOf(error),
      });
      runner.events.emit({ type: "pass failed", error });
      waiting.failed();
    },
  });
  await pass.run(async ({ at, isBlocked }) => {
    const freed = new AbortController();
    // More can be claimed as soon as a run ends.
    if (isBlocked && !pass.slots.isIdle) {
      pass.slots.changed.then(() => freed.abort());
    }
    await waiting.wait(at, freed.signal);
    return true;
  });
  return pass.summary;
}

/** How often what dead runners left is looked for, and old history. */
const ABANDONED_MS = 1_000;
const PRUNE_MS = 3_600_000;
/** Outcomes that may wait to be written before no more is claimed. */
const MOST_UNWRITTEN = 20_000;

interface PassOptions {
  /** Ends the claiming. */
  readonly stop: AbortSignal;
  readonly onError: (error: unknown) => void;
  readonly beforeClaim?: () => void;
}

/** What a claim that found less than it wanted says. */
interface Found {
  readonly at: Date;
  /** There may be more as soon as a run ends. */
  readonly isBlocked: boolean;
}

/** One pass of a runner, be it long or short. */
class Pass {
  readonly slots: Slots;
  readonly #runner: Runner;
  readonly #signals: StopSignals;
  readonly #options: PassOptions;
  readonly #counts: Record<keyof RunSummary, number> = {
    started: 0,
    completed: 0,
    failed: 0,
    needs_input: 0,
    retrying: 0,
    cancelled: 0,
    released: 0,
    skipped: 0,
  };
  /** What is not recorded yet. */
  #unfinished = 0;
  #finished: (() => void) | undefined;
  #endAbandonedAt: number;
  #pruneAt: number;
  /** When the last claim was, by the store's clock. */
  #claimedAt: Date;

  constructor(runner: Runner, signals: StopSignals, options: PassOptions) {
    this.#runner = runner;
    this.#signals = signals;
    this.#options = options;
    const { clock, settings } = runner;
    this.#endAbandonedAt = clock.monotonic();
    this.#pruneAt = clock.monotonic() + PRUNE_MS;
    this.#claimedAt = clock.now();
    this.slots = new Slots({
      concurrency: settings.concurrency,
      clock,
      execute: (run, onOver) => this.#execute(run, onOver),
      giveBack: (runs) => this.#giveBack(runs),
    });
  }

  get summary(): RunSummary {
    return this.#counts;
  }

  /**
   * Claims and executes until `waitForMore` says that there is no more, or the
   * signal to stop comes.
   */
  async run(waitForMore: (found: Found) => Promise<boolean>): Promise<void> {
    const { recorder } = this.#runner;
    const { stop } = this.#options;
    const stopped = Promise.withResolvers<void>();
    const onStop = () => stopped.resolve();
    if (stop.aborted) onStop();
    stop.addEventListener("abort", onStop, { once: true });
    while (!stop.aborted) {
      const { free, ahead } = this.slots;
      if (recorder.size > MOST_UNWRITTEN) await recorder.settled();
      else if (free === 0 && ahead === 0) {
        await Promise.race([this.slots.changed, stopped.promise]);
      } else {
        const found = await this.#claim(free, ahead);
        if (found.isAll || stop.aborted) continue;
        this.#endAbandonedAt = -Infinity;
        if (!await Promise.race([waitForMore(found), stopped.promise])) break;
      }
    }
    stop.removeEventListener("abort", onStop);
    await this.#finish();
  }

  async #claim(
    limit: number,
    ahead: number,
  ): Promise<Found & { readonly isAll: boolean }> {
    const { limits, runs } = this.#runner;
    const { stop, onError, beforeClaim } = this.#options;
    try {
      beforeClaim?.();
      await this.#tidy();
      const { runs: claimed, waitsForIdle, at } = await autoStartCreatedTasks(
        this.#runner,
        { limit, ahead, signal: stop },
      );
      this.slots.add(claimed);
      if (stop.aborted) this.slots.stop();
      this.#claimedAt = at;
      // A provider that has no room left may have more tasks.
      const rooms = providerRoom(limits, runs)?.values() ?? [];
      return {
        at,
        isAll: claimed.length > 0 && claimed.length >= limit,
        isBlocked: waitsForIdle || [...rooms].includes(0),
      };
    } catch (error) {
      if (!stop.aborted) onError(error);
      return { at: this.#claimedAt, isAll: false, isBlocked: false };
    }
  }

  /** Ends what dead runners left, and deletes old history. */
  async #tidy(): Promise<void> {
    const { queue, clock, log, settings, events } = this.#runner;
    const now = clock.monotonic();
    if (now >= this.#pruneAt) await this.#prune();
    if (now < this.#endAbandonedAt) return;
    this.#endAbandonedAt = now + ABANDONED_MS;
    const ended = await queue.endAbandoned({
      maxAttempts: settings.maxAttempts,
      signal: this.#options.stop,
    });
    for (const { task, transition } of ended) {
      const { provider } = task;
      logTransition(log, transition, { at: clock.now(), provider });
      if (transition.event === "failed") this.#counts.failed++;
    }
    if (ended.length > 0) events.emit({ type: "ended", ended });
  }

  async #prune(): Promise<void> {
    const { admin, clock, log, settings } = this.#runner;
    this.#pruneAt = clock.monotonic() + PRUNE_MS;
    if (settings.eventRetentionMs === 0) return;
    try {
      const count = await admin.pruneHistory(settings.eventRetentionMs);
      if (count === 0) return;
      log.info(`Deleted ${count} old rows of history`, {
        event: "pruned",
        count,
      });
    } catch (error) {
      this.#options.onError(error);
    }
  }

  #execute(run: Run, onOver: (runMs: number) => void): void {
    this.#counts.started++;
    this.#unfinished++;
    executeRun(this.#runner, run, {
      onOver,
      onResult: (result) => {
        this.#counts[result]++;
        this.#finishOne();
      },
    });
  }

  #finishOne(): void {
    this.#unfinished--;
    if (this.#unfinished === 0) this.#finished?.();
  }

  /** Gives back what was claimed and not begun by its processor. */
  #giveBack(runs: readonly Run[]): void {
    const { queue, recorder } = this.#runner;
    const held = runs.filter(({ isBegun }) => !isBegun);
    const given = queue.giveBack(held.map(({ lease }) => lease));
    const released = runs.filter(({ isBegun }) => isBegun).map((run) =>
      recorder.record(release(run, "The runner was stopped"))
    );
    this.#unfinished++;
    Promise.all([given, ...released])
      // What can't be given back is free when its lease runs out.
      .catch(this.#options.onError)
      .finally(() => this.#finishOne());
  }

  async #finish(): Promise<void> {
    const { clock, recorder, runs, settings } = this.#runner;
    const { drain, abort } = this.#signals;
    this.slots.stop();
    const done = new AbortController();
    const giveUp = () =>
      recorder.giveUpAt(clock.monotonic() + settings.leaseMs);
    const abandon = () => {
      runs.stopAll("shutdown");
      clock.sleep(ABANDON_MS, done.signal).then(() => {
        if (!done.signal.aborted) recorder.abandon();
      });
    };
    const onAbort = () => abandon();
    abort.addEventListener("abort", onAbort, { once: true });
    if (abort.aborted) abandon();
    else if (drain.aborted) {
      giveUp();
      clock.sleep(settings.drainMs, AbortSignal.any([abort, done.signal]))
        .then(() => {
          if (!done.signal.aborted) runs.stopAll("shutdown");
        });
    } else drain.addEventListener("abort", giveUp, { once: true });
    if (this.#unfinished > 0) {
      await new Promise<void>((resolve) => this.#finished = resolve);
    }
    done.abort();
    abort.removeEventListener("abort", onAbort);
    drain.removeEventListener("abort", giveUp);
    if (this.#counts.started > 0 && !drain.aborted) await this.#prune();
  }
}

/** How long outcomes have to be written when the runner is to stop at once. */
const ABANDON_MS = 500;
