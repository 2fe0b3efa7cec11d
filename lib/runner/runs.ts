/**
 * The runs in flight: keeps their leases alive and writes their progress.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { DatabaseBusyError, messageOf } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Recorder } from "./recorder.ts";
import { StopSwitch } from "./stop_switch.ts";
import type { TaskStore } from "../store/contract.ts";
import type {
  AgentTask,
  ClaimedTask,
  Lease,
  StopReason,
} from "../task/task.ts";
import { noteProgress, type ProgressNote } from "../task/transitions.ts";

/** One claimed task in this process, and what stops its run. */
export class Run extends StopSwitch implements ClaimedTask {
  task: AgentTask;
  readonly lease: Lease;
  /** What the processor noted and nobody has written yet. */
  note: ProgressNote | undefined;
  /** The outcome is on its way; its lease is nobody else's business. */
  isRecording = false;
  /** Its place among the runs in flight; -1 where it is not one of them. */
  index = -1;

  constructor({ task, lease }: ClaimedTask) {
    super();
    this.task = task;
    this.lease = lease;
  }
}

/** How often progress notes are written. */
const PROGRESS_MS = 1_000;
/** A lease is renewed this often within its time. */
const RENEWALS_PER_LEASE = 3;

/** Options for {@linkcode Runs}. */
export interface RunsOptions {
  readonly store: TaskStore;
  readonly recorder: Recorder;
  readonly clock: Clock;
  readonly log: Log;
  readonly leaseMs: number;
}

/** Every run in flight, waiting ones included. */
export class Runs implements AsyncDisposable {
  readonly #options: RunsOptions;
  readonly #runs: Run[] = [];
  readonly #closed = new AbortController();
  #tending: Promise<void> | undefined;

  constructor(options: RunsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#runs.length;
  }

  /** How many runs of a provider are in flight. */
  countOf(provider: string): number {
    let count = 0;
    for (const { task, isRecording } of this.#runs) {
      if (task.provider === provider && !isRecording) count++;
    }
    return count;
  }

  /** How many runs of other providers than these are in flight. */
  countOfOthers(providers: ReadonlyMap<string, unknown>): number {
    let count = 0;
    for (const { task, isRecording } of this.#runs) {
      if (!providers.has(task.provider) && !isRecording) count++;
    }
    return count;
  }

  /** The run of a claim; a new one, in flight, where there is none. */
  of(claimed: ClaimedTask): Run {
    if (claimed instanceof Run && claimed.index >= 0) return claimed;
    const run = new Run(claimed);
    run.index = this.#runs.push(run) - 1;
    this.#tending ??= this.#tend();
    return run;
  }

  delete(run: Run): void {
    const last = this.#runs.at(-1);
    if (run.index < 0 || !last) return;
    // The last one takes its place: no map of thousands to look it up in.
    last.index = run.index;
    this.#runs[run.index] = last;
    this.#runs.pop();
    run.index = -1;
  }

  /** Stops every run. */
  stopAll(reason: StopReason): void {
    for (const run of this.#runs) run.stop(reason);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    await this.#tending;
  }

  async #tend(): Promise<void> {
    const { store, clock, leaseMs } = this.#options;
    const renewalMs = leaseMs / RENEWALS_PER_LEASE;
    let renewedAt = clock.monotonic();
    let seenChanges = await store.changeCount();
    while (!this.#closed.signal.aborted) {
      await clock.sleep(
        Math.min(PROGRESS_MS, renewalMs),
        this.#closed.signal,
      );
      if (this.size === 0) {
        // Claims bring their own lease; nothing was renewed since.
        renewedAt = clock.monotonic();
        continue;
      }
      await this.#writeNotes();
      const sentAt = clock.monotonic();
      const isDue = sentAt - renewedAt >= renewalMs * 0.9;
      const changes = await store.changeCount();
      // Somebody may have cancelled a task.
      if (!isDue && changes === seenChanges) continue;
      seenChanges = changes;
      if (await this.#renew(renewedAt + leaseMs)) renewedAt = sentAt;
    }
  }

  async #renew(deadline: number): Promise<boolean> {
    const { store, clock, log, leaseMs } = this.#options;
    const runs = [...this.#runs];
    if (runs.length === 0) return true;
    const expiresAt = new Date(clock.now().getTime() + leaseMs);
    try {
      const { held, cancelled } = await store.heartbeat(
        runs.map(({ lease }) => lease),
        expiresAt,
      );
      for (const run of runs) {
        const { id } = run.task;
        if (cancelled.has(id)) run.stop("cancelled");
        else if (!held.has(id) && !run.isRecording) run.stop("lease lost");
      }
      return true;
    } catch (error) {
      log.warning(`Cannot renew ${runs.length} leases: ${messageOf(error)}`, {
        event: "renewal_failed",
        count: runs.length,
        error: messageOf(error),
      });
      // Another runner may work on these tasks from now on; but not while a third
      // program keeps the file from every runner.
      const isBusy = error instanceof DatabaseBusyError;
      if (!isBusy && clock.monotonic() >= deadline) this.stopAll("lease lost");
      return false;
    }
  }

  async #writeNotes(): Promise<void> {
    const { recorder, log } = this.#options;
    const noted = this.#runs.filter((run) => run.note && !run.isRecording);
    try {
      await Promise.all(noted.map(async (run) => {
        const { note } = run;
        run.note = undefined;
        if (!note) return;
        const { applied, traceText } = await recorder.record(
          noteProgress(run, note.at, note.message, note),
        );
        if (applied) run.task = { ...run.task, traceText };
        else run.stop("lease lost");
      }));
    } catch (error) {
      log.warning(`Cannot write progress: ${messageOf(error)}`, {
        event: "progress_delayed",
        error: messageOf(error),
      });
    }
  }
}
