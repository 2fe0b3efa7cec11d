/**
 * The runs in flight: keeps their leases alive and writes their progress.
 *
 * @module
 */

import type { Clock } from "./clock.ts";
import { messageOf } from "./errors.ts";
import type { Log } from "./log.ts";
import type { Progress } from "./progress.ts";
import type { Recorder } from "./recorder.ts";
import { StopSwitch } from "./stop_switch.ts";
import type { TaskStore } from "./store.ts";
import type { ClaimedTask, JsonObject, StopReason } from "./task.ts";
import { noteProgress } from "./transitions.ts";

/** One claimed task in this process. */
export interface Run {
  claimed: ClaimedTask;
  readonly stop: StopSwitch;
  /** What the processor noted and nobody has written yet. */
  note: (Progress & { readonly at: Date }) | undefined;
  /** The outcome is on its way; its lease is nobody else's business. */
  isRecording: boolean;
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
  readonly #runs = new Map<string, Run>();
  readonly #closed = new AbortController();
  #tending: Promise<void> | undefined;

  constructor(options: RunsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#runs.size;
  }

  /** The run of a claim, where it is in flight. */
  get({ task, lease }: ClaimedTask): Run | undefined {
    const run = this.#runs.get(task.id);
    return run?.claimed.lease.id === lease.id ? run : undefined;
  }

  /** How many runs of a provider are in flight. */
  countOf(provider: string): number {
    let count = 0;
    for (const { claimed, isRecording } of this.#runs.values()) {
      if (claimed.task.provider === provider && !isRecording) count++;
    }
    return count;
  }

  /** How many runs of other providers than these are in flight. */
  countOfOthers(providers: ReadonlyMap<string, unknown>): number {
    let count = 0;
    for (const { claimed, isRecording } of this.#runs.values()) {
      if (!providers.has(claimed.task.provider) && !isRecording) count++;
    }
    return count;
  }

  add(claimed: ClaimedTask): Run {
    const run: Run = {
      claimed,
      stop: new StopSwitch(),
      note: undefined,
      isRecording: false,
    };
    this.#runs.set(claimed.task.id, run);
    this.#tending ??= this.#tend();
    return run;
  }

  delete(run: Run): void {
    const { id } = run.claimed.task;
    if (this.#runs.get(id) === run) this.#runs.delete(id);
  }

  /** Stops every run. */
  stopAll(reason: StopReason): void {
    for (const run of this.#runs.values()) run.stop.stop(reason);
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
      if (this.#runs.size === 0) {
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
    const runs = [...this.#runs.values()];
    const expiresAt = new Date(clock.now().getTime() + leaseMs);
    try {
      const { held, cancelled } = await store.heartbeat(
        runs.map(({ claimed }) => claimed.lease),
        expiresAt,
      );
      for (const run of runs) {
        const { id } = run.claimed.task;
        if (cancelled.has(id)) run.stop.stop("cancelled");
        else if (!held.has(id) && !run.isRecording) run.stop.stop("lease lost");
      }
      return true;
    } catch (error) {
      log.warning(`Cannot renew ${runs.length} leases: ${messageOf(error)}`);
      // Another runner may work on these tasks from now on.
      if (clock.monotonic() >= deadline) this.stopAll("lease lost");
      return false;
    }
  }

  async #writeNotes(): Promise<void> {
    const { recorder, log } = this.#options;
    const noted = [...this.#runs.values()].filter((run) =>
      run.note && !run.isRecording
    );
    try {
      await Promise.all(noted.map(async (run) => {
        const { note, claimed } = run;
        run.note = undefined;
        if (!note) return;
        const { applied, traceText } = await recorder.record(
          noteProgress(claimed, note.at, note.message, note),
        );
        if (!applied) return run.stop.stop("lease lost");
        run.claimed = { ...claimed, task: { ...claimed.task, traceText } };
      }));
    } catch (error) {
      log.warning(`Cannot write progress: ${messageOf(error)}`);
    }
  }
}

/** What a run's unwritten note adds to the trace with its outcome. */
export function notePatch({ note, claimed }: Run): JsonObject {
  return note ? noteProgress(claimed, note.at, note.message, note).patch : {};
}
