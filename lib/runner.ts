/**
 * The runner: claims tasks, executes them, records what came of them. Once or for
 * ever, by the same path.
 *
 * @module
 */

import { DisabledError, messageOf } from "./base/errors.ts";
import type {
  Runner,
  RunSummary,
  StopSignals,
  TaskResult,
} from "./runner/context.ts";
import { orAborted } from "./base/wake.ts";
import { RENEWALS_PER_LEASE } from "./runner/heartbeats.ts";
import { logUnrenewed } from "./runner/log.ts";
import { type ClaimRequest, Pass, type Started } from "./runner/pass.ts";
import { executeRun } from "./runner/processing.ts";
import { providerRoom, sharesRoom } from "./runner/providers.ts";
import { Run } from "./runner/runs.ts";
import { Waiting } from "./runner/waiting.ts";

export { createRunner } from "./runner/context.ts";
export type {
  Runner,
  RunnerParts,
  RunnerSettings,
  RunSummary,
  StopSignals,
  TaskResult,
} from "./runner/context.ts";
export type { ClaimRequest, Started } from "./runner/pass.ts";
export { updateProgress } from "./runner/processing.ts";
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

const NEVER = new AbortController().signal;

/**
 * Claims tasks: higher priority first, then oldest first.
 *
 * @throws {DatabaseError} where the store can't be used.
 */
export async function autoStartCreatedTasks(
  runner: Runner,
  { limit, ahead = 0, taskId, signal }: ClaimRequest,
): Promise<Started> {
  const { queue, clock, owner, settings, events, runs, pauses } = runner;
  // What is spent since decides who may be claimed.
  await orAborted(runner.budgets.idle(), signal ?? NEVER);
  const { leaseMs, maxAttempts } = settings;
  const sentAt = clock.monotonic();
  const { tasks, pauses: found, ...claim } = await queue.claim({
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
        ...runner.globalLimits.size > 0 && {
          globalLimits: runner.globalLimits,
        },
        providers: runner.claimedProviders,
      }
      : { taskId }),
    ...runner.taskLimits.size > 0 && { taskLimits: runner.taskLimits },
  });
  const started = tasks.map((it) => new Run(it, sentAt + leaseMs));
  for (const run of started) runs.hold(run);
  const waitedMs = clock.monotonic() - sentAt;
  if (waitedMs >= leaseMs / RENEWALS_PER_LEASE) await renew(runner, started);
  events.emit({ type: "claimed" });
  const begun = started.filter(({ isBegun }) => isBegun);
  if (begun.length > 0) {
    events.emit({ type: "begun", tasks: begun.map(({ task }) => task) });
  }
  const given = taskId === undefined ? await pauses.heed(found, claim.at) : 0;
  return { runs: started, ...claim, isHandedOver: given > 0 };
}

/**
 * The claim took long. It waited for the store; or this process was stopped when
 * the lease had begun, and somebody else has the tasks by now.
 */
async function renew(
  { queue, clock, log, settings: { leaseMs } }: Runner,
  runs: readonly Run[],
): Promise<void> {
  const sentAt = clock.monotonic();
  try {
    const leases = runs.map(({ lease }) => lease);
    const states = await queue.heartbeat(leases, { leaseMs });
    for (const [index, run] of runs.entries()) {
      const state = states[index];
      if (state === "lost") run.stop("lease lost");
      // They are begun only where they are held for certain.
      else if (state !== "busy") run.heldUntil = sentAt + leaseMs;
    }
  } catch (error) {
    // As those that are busy.
    logUnrenewed(log, runs.length, error);
  }
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
    executeRun(runner, run, {
      onLimit: () => {},
      onOver: () => {},
      onWarning: () => {},
      onResult,
    })
  );
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
  const { drain, abort } = signals;
  const summary = await new Pass(runner, {
    claim: (request) => autoStartCreatedTasks(runner, request),
    signals,
    stop: AbortSignal.any([drain, abort, failure.signal]),
    onError: (error) => failure.abort(error),
  }).run();
  if (failure.signal.aborted) throw failure.signal.reason;
  return summary;
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
  const stop = AbortSignal.any([signals.drain, signals.abort]);
  using waiting = new Waiting({ queue, clock, log, intervalMs, stop });
  // A retry is due before what the wait began with, perhaps.
  using _retries = runner.events.subscribe((event) => {
    const isRetried = event.type === "recorded" &&
      event.transition.delayMs !== null;
    // The store counts it until then.
    const isRoom = sharesRoom(runner) &&
      (event.type === "recorded" || event.type === "lost");
    const isMore = event.type === "usable" || event.type === "unblocked";
    if (isRetried || isRoom || isMore) waiting.wake();
  });
  return await new Pass(runner, {
    claim: (request) => autoStartCreatedTasks(runner, request),
    signals,
    stop,
    waiting,
    onError: (error) => {
      log.error(`A pass failed: ${messageOf(error)}`, {
        event: "pass_failed",
        error: messageOf(error),
      });
      runner.events.emit({ type: "pass failed", error });
      waiting.failed();
    },
  }).run();
}
