/**
 * What a runner is made of, and what it says of itself.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import { orAborted } from "../base/wake.ts";
import type { Log } from "../base/log.ts";
import type {
  ProcessorLookup,
  ProviderSettings,
} from "../processors/processor.ts";
import type { Admin, Queue } from "../store/contract.ts";
import type { TaskLimits } from "../task/limits.ts";
import type { TaskEventKind } from "../task/task.ts";
import type { Budget } from "../task/usage.ts";
import { Budgets } from "./budgets.ts";
import { RunnerEvents } from "./events.ts";
import { Heartbeats } from "./heartbeats.ts";
import type { RunWatcher } from "./log.ts";
import { Pauses } from "./pauses.ts";
import { OpenHours } from "./open_hours.ts";
import {
  claimedProvidersOf,
  globalLimitsOf,
  limitsOf,
  taskLimitsOf,
} from "./providers.ts";
import { Recorder } from "./recorder.ts";
import { RunLogs } from "./run_logs.ts";
import { type Run, Runs } from "./runs.ts";

/** How a runner works. Durations are in milliseconds. */
export interface RunnerSettings {
  readonly enabled: boolean;
  /** Tasks that run at the same time. */
  readonly concurrency: number;
  /** How long a claim is good for without a renewal. */
  readonly leaseMs: number;
  /** Attempts of a task before its runner's death ends it. */
  readonly maxAttempts: number;
  /** Attempts before a failure is final, for a task that sets none. */
  readonly attempts: number;
  /** How long a run may take, for a task that sets nothing; 0 for ever. */
  readonly timeoutMs: number;
  /**
   * How many tasks of a provider run at the same time; `*` is all the others
   * together. Wins over the `concurrency` of `providers`.
   */
  readonly limits: ReadonlyMap<string, number>;
  /**
   * What is set for single providers; `*` is for all the others. Without `*`,
   * only tasks of these providers are claimed.
   */
  readonly providers?: ReadonlyMap<string, ProviderSettings>;
  /** What all providers may use together. */
  readonly budget?: Budget;
  /** The longest wait after a pass that failed. */
  readonly intervalMs: number;
  /** The longest wait of a single pass for the next attempt of a task. */
  readonly retryWaitMs: number;
  /** How long a shutdown waits for the tasks in hand. */
  readonly drainMs: number;
  /** How many characters are kept of each attempt's log; 0: none. */
  readonly runLogLimit: number;
  /** How long the history of ended tasks is kept; 0 for ever. */
  readonly eventRetentionMs: number;
}

/** What a runner is made of. */
export interface RunnerParts {
  readonly queue: Queue;
  readonly admin: Pick<Admin, "get" | "pruneHistory">;
  readonly processorFor: ProcessorLookup;
  readonly clock: Clock;
  readonly log: Log;
  /** The runner's name in leases and in the history. */
  readonly owner: string;
  readonly settings: RunnerSettings;
  readonly watcher?: RunWatcher;
}

/** A runner; dispose of it when it has run. */
export interface Runner extends RunnerParts, AsyncDisposable {
  readonly events: RunnerEvents;
  readonly recorder: Recorder;
  readonly runLogs: RunLogs;
  readonly runs: Runs;
  /** Runs that were lost, while it is looked up who has their tasks. */
  readonly lookups: Set<Run>;
  /** How many tasks of a provider run at the same time, where that is limited. */
  readonly limits: ReadonlyMap<string, number>;
  /**
   * Providers that can't be used as they are configured: their tasks wait. It may
   * change at any time.
   */
  readonly unusable: Set<string>;
  /** What providers may spend. */
  readonly budgets: Budgets;
  /** Providers that are paused, whoever did it. */
  readonly pauses: Pauses;
  /** The same of all runners together. */
  readonly globalLimits: ReadonlyMap<string, number>;
  /** What may begin of providers' tasks, of all runners together. */
  readonly taskLimits: ReadonlyMap<string, TaskLimits>;
  /** When providers' tasks begin. */
  readonly hours: OpenHours;
  /** The providers whose tasks are claimed; undefined for all. */
  readonly claimedProviders: readonly string[] | undefined;
}

/** How a run is told to end. */
export interface StopSignals {
  /** Claim no more; finish the tasks in hand. */
  readonly drain: AbortSignal;
  /** Stop the tasks in hand too, and give them back. */
  readonly abort: AbortSignal;
}

/** What a summary calls what came of a run, by its event. */
export const RESULTS = {
  completed: "completed",
  failed: "failed",
  needs_input: "needs_input",
  /** It failed, and is tried again later. */
  retry_scheduled: "retrying",
  cancelled: "cancelled",
  /** It was given back, and costs no attempt. */
  released: "released",
  /** Its provider's limit is reached; it costs no attempt. */
  limited: "limited",
} as const satisfies { readonly [kind in TaskEventKind]?: string };

/** What came of a run; `skipped` where nothing could be recorded of it. */
export type TaskResult = (typeof RESULTS)[keyof typeof RESULTS] | "skipped";

/**
 * What a pass did: how many tasks it started, what came of how many, of how many of
 * these it was simulated, and how many completed with a warning.
 */
export type RunSummary = Readonly<
  Record<"started" | TaskResult | "simulated" | "warned", number>
>;

/** Puts a runner together. */
export function createRunner(parts: RunnerParts): Runner {
  const { queue, clock, log, settings } = parts;
  const events = new RunnerEvents((error) =>
    log.error(`A subscriber failed: ${messageOf(error)}`, {
      event: "subscriber_failed",
      error: messageOf(error),
    })
  );
  const recorder = new Recorder({
    queue,
    clock,
    log,
    onCommit: (rows) => events.emit({ type: "committed", rows }),
    onUnblocked: () => events.emit({ type: "unblocked" }),
  });
  const runLogs = new RunLogs({
    queue,
    clock,
    log,
    limit: settings.runLogLimit,
  });
  const runs = new Runs();
  const lookups = new Set<Run>();
  const unusable = new Set<string>();
  const hours = new OpenHours(settings.providers);
  const pauses = new Pauses({ queue, log, providers: settings.providers });
  const budgets = new Budgets({ ...parts, ...settings, pauses });
  budgets.watch(events);
  const heartbeats = new Heartbeats({
    queue,
    runs,
    recorder,
    clock,
    log,
    leaseMs: settings.leaseMs,
  });
  return {
    ...parts,
    events,
    recorder,
    runLogs,
    runs,
    lookups,
    unusable,
    pauses,
    budgets,
    get limits() {
      return limitsOf(
        settings.limits,
        settings.providers,
        unusable.union(pauses.unrecorded).union(hours.closed(clock.now())),
      );
    },
    globalLimits: globalLimitsOf(settings.providers),
    taskLimits: taskLimitsOf(settings.providers),
    hours,
    get claimedProviders() {
      return claimedProvidersOf(settings.providers, unusable);
    },
    async [Symbol.asyncDispose]() {
      await orAborted(budgets.idle(), recorder.abandoned);
      const isHurried = recorder.abandoned.aborted;
      // What is left are notes of runs that were lost: nobody waits for them.
      recorder.abandon();
      await heartbeats[Symbol.asyncDispose]();
      await runLogs.close({ isHurried });
    },
  };
}
