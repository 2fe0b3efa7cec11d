/**
 * A runner on a stub of a store, with a clock that the test moves.
 *
 * @module
 */

import { assert } from "@std/assert";
import { createLog } from "../../lib/base/log.ts";
import type { Processor } from "../../lib/processors/processor.ts";
import {
  autoStartCreatedTasks,
  createRunner,
  type Run,
  type Runner,
  type RunnerSettings,
  type RunSummary,
} from "../../lib/runner.ts";
import type { RunWatcher } from "../../lib/runner/log.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { StubQueue } from "../support/stub_queue.ts";

/** Options for {@linkcode setUp}. */
export interface Setup {
  /** How many tasks there are. @default {0} */
  readonly tasks?: number;
  /** @default {completes at once} */
  readonly process?: Processor["process"];
  readonly stopGraceMs?: number;
  readonly isSimulated?: boolean;
  readonly settings?: Partial<RunnerSettings>;
  /** @default {one that moves itself} */
  readonly clock?: FakeClock;
  readonly watcher?: RunWatcher;
  /** That of another runner. @default {one of its own} */
  readonly queue?: StubQueue;
}

/** Two slots, a lease of a minute, one attempt. */
export function setUp(options: Setup = {}) {
  const { clock = new FakeClock({ autoAdvance: true }) } = options;
  const { stopGraceMs, isSimulated } = options;
  const { queue = new StubQueue(clock) } = options;
  const lines: string[] = [];
  const log = createLog({
    level: "DEBUG",
    write: (text) => void lines.push(...text.trimEnd().split("\n")),
  });
  const process = options.process ??
    (() => Promise.resolve({ kind: "completed" as const }));
  const runner = createRunner({
    queue,
    admin: queue.admin,
    processorFor: () => ({
      name: "scripted",
      stopGraceMs,
      isSimulated,
      process,
    }),
    clock,
    log,
    owner: "runner-1",
    watcher: options.watcher,
    settings: {
      enabled: true,
      concurrency: 2,
      leaseMs: 60_000,
      retryWaitMs: 0,
      maxAttempts: 3,
      intervalMs: 5_000,
      drainMs: 1_000,
      attempts: 1,
      timeoutMs: 0,
      limits: new Map(),
      runLogLimit: 0,
      eventRetentionMs: 0,
      ...options.settings,
    },
  });
  queue.create(...Array.from({ length: options.tasks ?? 0 }, () => ({})));
  /** The lines of the log, from their level on. */
  const logged = () => {
    log.flush();
    return lines.map((line) => line.split(" - ").slice(2).join(" - "));
  };
  const drain = new AbortController();
  const abort = new AbortController();
  const stop = { drain: drain.signal, abort: abort.signal };
  return { clock, queue, runner, logged, drain, abort, stop };
}

/** Claims the next task. */
export async function claimOne(runner: Runner): Promise<Run> {
  const { runs: [run] } = await autoStartCreatedTasks(runner, { limit: 1 });
  assert(run);
  return run;
}

/** What a pass did, where that was nothing but this. */
export function summary(given: Partial<RunSummary>): RunSummary {
  return {
    started: 0,
    completed: 0,
    failed: 0,
    needs_input: 0,
    retrying: 0,
    cancelled: 0,
    released: 0,
    limited: 0,
    skipped: 0,
    simulated: 0,
    warned: 0,
    ...given,
  };
}

/** A processor that takes its time, and ends early where it is told to stop. */
export function takes(clock: FakeClock, ms: number): Processor["process"] {
  return async (_task, { signal }) => {
    await clock.sleep(ms, signal);
    return signal.aborted
      ? { kind: "failed", error: String(signal.reason), retryable: true }
      : { kind: "completed" };
  };
}
