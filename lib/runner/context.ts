/**
 * What a runner is made of, and what it says of itself.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { ClockJumps } from "./clock_jumps.ts";
import { messageOf } from "../base/errors.ts";
import { RunnerEvents } from "./events.ts";
import type { Log } from "../base/log.ts";
import type {
  ProcessorLookup,
  ProviderSettings,
} from "../processors/processor.ts";
import { claimedProvidersOf, limitsOf } from "./providers.ts";
import { Recorder } from "./recorder.ts";
import type { RunWatcher } from "./log.ts";
import { Runs } from "./runs.ts";
import type { TaskStore } from "../store/contract.ts";

/** How a runner works. Durations are in milliseconds. */
export interface RunnerSettings {
  readonly enabled: boolean;
  /** Tasks that run at the same time. */
  readonly concurrency: number;
  /** How long a claim is good for without a renewal. */
  readonly leaseMs: number;
  /** Claims of a task whose runner dies, before it is failed. */
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
  /** The longest wait between two looks at the queue. */
  readonly intervalMs: number;
  /** How long a shutdown waits for the tasks in hand. */
  readonly drainMs: number;
  /** How long the history of ended tasks is kept; 0 for ever. */
  readonly eventRetentionMs: number;
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
  readonly watcher?: RunWatcher;
}

/** A runner; dispose of it when it has run. */
export interface Runner extends RunnerParts, AsyncDisposable {
  readonly events: RunnerEvents;
  readonly recorder: Recorder;
  readonly runs: Runs;
  readonly jumps: ClockJumps;
  /** How many tasks of a provider run at the same time, where that is limited. */
  readonly limits: ReadonlyMap<string, number>;
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

/** What came of a task that was processed. */
export type TaskResult =
  | "completed"
  | "failed"
  | "needs_input"
  /** It failed, and is tried again later. */
  | "retrying"
  | "cancelled"
  /** It was given back, and costs no attempt. */
  | "released"
  /** The lease was lost: nothing was written. */
  | "skipped";

/** What a pass did: how many tasks it started, and what came of how many. */
export type RunSummary = Readonly<Record<"started" | TaskResult, number>>;

/** Puts a runner together. */
export function createRunner(parts: RunnerParts): Runner {
  const { store, clock, log, settings } = parts;
  const { leaseMs } = settings;
  const events = new RunnerEvents((error) =>
    log.error(`A subscriber failed: ${messageOf(error)}`, {
      event: "subscriber_failed",
      error: messageOf(error),
    })
  );
  const recorder = new Recorder({
    store,
    clock,
    log,
    onCommit: (rows) => events.emit({ type: "committed", rows }),
  });
  const runs = new Runs({ store, recorder, clock, log, leaseMs });
  return {
    ...parts,
    events,
    recorder,
    runs,
    jumps: new ClockJumps(clock, leaseMs),
    limits: limitsOf(settings.limits, settings.providers),
    claimedProviders: claimedProvidersOf(settings.providers),
    [Symbol.asyncDispose]: () => runs[Symbol.asyncDispose](),
  };
}
