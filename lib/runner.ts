/**
 * The runner: claims tasks, executes them, records what came of them. Once or
 * for ever, by the same path.
 *
 * @module
 */

import { DatabaseBusyError, DisabledError, messageOf } from "./base/errors.ts";
import { Idle } from "./runner/waiting.ts";
import { runPool } from "./runner/slots.ts";
import { executeRun, type RunListener } from "./runner/processing.ts";
import { providerRoom } from "./runner/providers.ts";
import type {
  Runner,
  RunSummary,
  StopSignals,
  TaskResult,
} from "./runner/context.ts";
import { logTransition } from "./runner/log.ts";
import type { ClaimedTask } from "./task/task.ts";
import { release } from "./task/transitions.ts";

export { updateProgress } from "./runner/processing.ts";
export { createRunner } from "./runner/context.ts";
export type {
  Runner,
  RunnerParts,
  RunnerSettings,
  RunSummary,
  StopSignals,
  TaskResult,
} from "./runner/context.ts";

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

/**
 * Claims up to `limit` tasks: higher priority first, then oldest first. With
 * `taskId`, that one only, whatever its time and its provider's limit.
 */
export async function autoStartCreatedTasks(
  runner: Runner,
  limit: number,
  { taskId }: { readonly taskId?: string } = {},
): Promise<readonly ClaimedTask[]> {
  const { store, clock, log, owner, settings, events, runs } = runner;
  const now = clock.now();
  const { claimed, ended } = await store.claim({
    limit,
    owner,
    leaseMs: settings.leaseMs,
    maxAttempts: settings.maxAttempts,
    now,
    leaseCutoff: runner.jumps.leaseCutoff(now),
    ...(taskId === undefined
      ? {
        providerRoom: providerRoom(runner.limits, runs),
        providers: runner.claimedProviders,
      }
      : { taskId }),
  });
  for (const transition of ended) logTransition(log, transition);
  if (ended.length > 0) events.emit({ type: "ended", transitions: ended });
  events.emit({ type: "claimed", tasks: claimed });
  return claimed.map((it) => runs.of(it));
}

/**
 * Executes a claimed task and records its outcome. Resolves when that is
 * committed.
 *
 * @throws {DatabaseError} where the outcome can't be recorded. The task then
 * keeps its lease until that runs out, and is claimed again.
 */
export async function processRunningTask(
  runner: Runner,
  claimed: ClaimedTask,
): Promise<TaskResult> {
  const { promise, resolve, reject } = Promise.withResolvers<TaskResult>();
  await executeRun(runner, runner.runs.of(claimed), {
    ended: resolve,
    failed: reject,
  });
  return await promise;
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
  const onError = (error: unknown) => failure.abort(error);
  const summary = await runUntil(runner, signals, {
    claim: async (limit) => {
      try {
        return await autoStartCreatedTasks(runner, limit);
      } catch (error) {
        onError(error);
        return [];
      }
    },
    onError,
    failure: failure.signal,
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
  const idle = new Idle({ store, clock, log, intervalMs, stop: signals.drain });
  // A retry is due before what the wait began with, perhaps.
  using _retries = runner.events.subscribe((event) => {
    if (event.type === "recorded" && event.transition.runAt) idle.wake();
  });
  const onError = (error: unknown) => {
    log.error(`A pass failed: ${messageOf(error)}`, {
      event: "pass_failed",
      error: messageOf(error),
    });
    runner.events.emit({ type: "pass failed", error });
  };
  let claimedAt = clock.monotonic();
  let isHeldUp = false;
  return await runUntil(runner, signals, {
    claim: async (limit) => {
      try {
        await idle.beforeClaim();
        if (isHeldUp) runner.jumps.heldUp(clock.monotonic() - claimedAt);
        const claimed = await autoStartCreatedTasks(runner, limit);
        isHeldUp = false;
        claimedAt = clock.monotonic();
        return claimed;
      } catch (error) {
        isHeldUp ||= error instanceof DatabaseBusyError;
        onError(error);
        idle.failed();
        return [];
      }
    },
    onError,
    waitForMore: (until) => idle.wait(until),
  });
}

const PRUNE_INTERVAL_MS = 3_600_000;

async function pruneHistory(
  { store, clock, log, settings }: Runner,
): Promise<void> {
  if (settings.eventRetentionMs === 0) return;
  const before = new Date(clock.now().getTime() - settings.eventRetentionMs);
  const count = await store.pruneEvents(before);
  if (count === 0) return;
  log.info(`Deleted ${count} old rows of history`, { event: "pruned", count });
}

interface Mode {
  readonly claim: (limit: number) => Promise<readonly ClaimedTask[]>;
  readonly onError: (error: unknown) => void;
  /** Ends the claiming, and lets the tasks in hand end. */
  readonly failure?: AbortSignal;
  readonly waitForMore?: (until: AbortSignal) => Promise<void>;
}

async function runUntil(
  runner: Runner,
  { drain, abort }: StopSignals,
  { claim, onError, failure, waitForMore }: Mode,
): Promise<RunSummary> {
  const { clock, recorder, runs, settings } = runner;
  const stop = AbortSignal.any(failure ? [drain, failure] : [drain]);
  const giveUpLater = () =>
    recorder.giveUpAt(clock.monotonic() + settings.leaseMs);
  if (stop.aborted) giveUpLater();
  stop.addEventListener("abort", giveUpLater, { once: true });
  let pruneAt = clock.monotonic() + PRUNE_INTERVAL_MS;
  const counts = {
    started: 0,
    completed: 0,
    failed: 0,
    needs_input: 0,
    retrying: 0,
    cancelled: 0,
    released: 0,
    skipped: 0,
  };
  using _ended = runner.events.subscribe((event) => {
    if (event.type !== "ended") return;
    // By a claim: their runners died, or nobody answered.
    counts.failed += event.transitions.filter(({ to, event }) =>
      to === "failed" && event !== "cancelled"
    ).length;
  });
  const listener: RunListener = {
    ended: (result) => {
      counts[result]++;
    },
    failed: (error) => {
      counts.skipped++;
      onError(error);
    },
  };
  const { unstarted, settled } = await runPool<ClaimedTask>({
    concurrency: settings.concurrency,
    clock,
    claim: async (limit) => {
      if (clock.monotonic() >= pruneAt) {
        pruneAt = clock.monotonic() + PRUNE_INTERVAL_MS;
        await pruneHistory(runner).catch(onError);
      }
      const items = await claim(limit);
      // A provider that has no room left may have more tasks.
      const rooms = providerRoom(runner.limits, runs)?.values() ?? [];
      return { items, isBlocked: [...rooms].includes(0) };
    },
    waitForMore,
    stop,
    run: (claimed) => {
      counts.started++;
      return executeRun(runner, runs.of(claimed), listener);
    },
    bookkeeping: recorder,
  });
  const done = new AbortController();
  const stopRuns = async () => {
    // Nobody asked to stop where a claim failed.
    await aborted(AbortSignal.any([drain, abort, done.signal]));
    await clock.sleep(settings.drainMs, AbortSignal.any([abort, done.signal]));
    if (!done.signal.aborted) runs.stopAll("shutdown");
  };
  // First, so that a busy file does not add to the time of the drain.
  const stopping = stopRuns();
  await Promise.all(unstarted.map(async (claimed) => {
    await recorder.record(release(claimed, "The runner was stopped"));
    runs.delete(runs.of(claimed));
  })).catch(onError);
  await settled;
  done.abort();
  await stopping;
  if (counts.started > 0) await pruneHistory(runner).catch(onError);
  return counts;
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
}
