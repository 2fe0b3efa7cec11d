/**
 * Keeps the leases of runs alive, tells runs that they are to end, and writes what
 * they note of their progress. Heartbeats wait for nothing else.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { DatabaseBusyError, messageOf } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Queue } from "../store/contract.ts";
import { noteProgress } from "../task/transitions.ts";
import { logUnrenewed } from "./log.ts";
import type { Recorder } from "./recorder.ts";
import type { Run, Runs } from "./runs.ts";

/** Options for {@linkcode Heartbeats}. */
export interface HeartbeatsOptions {
  readonly queue: Pick<Queue, "heartbeat" | "onChange">;
  readonly runs: Runs;
  readonly recorder: Recorder;
  readonly clock: Clock;
  readonly log: Log;
  readonly leaseMs: number;
}

/** How often to look whether anything is to be done. */
const TICK_MS = 1_000;
/** A lease is renewed this often within its time. */
export const RENEWALS_PER_LEASE = 3;
/** Differences up to this are a clock that is slewed, or a late timer. */
const JUMP_MS = 1_000;
/**
 * Between two tries while another program keeps everybody out: whoever comes in
 * after it leaves the others a second only.
 */
const BUSY_PAUSE_MS = 25;
/** A run is kept so long at least after each of them. */
const KEPT_MS = 1_000;

/** Renews the leases of runs in hand; dispose of it when there are none. */
export class Heartbeats implements AsyncDisposable {
  readonly #options: HeartbeatsOptions;
  readonly #closed = new AbortController();
  readonly #subscription: Disposable;
  #ticking: Promise<void> | undefined;
  #renewing: Promise<void> | undefined;
  #noting: Promise<void> | undefined;
  #renewedAt = -Infinity;
  #hasChanged = false;
  #offsetMs = 0;

  constructor(options: HeartbeatsOptions) {
    this.#options = options;
    // Somebody may have cancelled a task.
    this.#subscription = options.queue.onChange(() => this.#hasChanged = true);
    options.runs.onFirst = () => this.#ticking ??= this.#tick();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    this.#subscription[Symbol.dispose]();
    await Promise.all([this.#ticking, this.#renewing, this.#noting]);
  }

  async #tick(): Promise<void> {
    const { runs, clock, leaseMs } = this.#options;
    const renewalMs = leaseMs / RENEWALS_PER_LEASE;
    // Claims bring their own lease.
    this.#renewedAt = clock.monotonic();
    this.#offsetMs = clock.now().getTime() - this.#renewedAt;
    while (runs.size > 0 && !this.#closed.signal.aborted) {
      await clock.sleep(Math.min(TICK_MS, renewalMs), this.#closed.signal);
      const now = clock.monotonic();
      for (const run of runs.all()) {
        if (now >= run.heldUntil && !run.isOver) run.stop("lease lost");
      }
      this.#noting ??= this.#writeNotes().finally(() => {
        this.#noting = undefined;
      });
      const isDue = now - this.#renewedAt >= renewalMs * 0.9;
      if (isDue || this.#hasChanged || this.#hasJumped(now)) {
        this.#renewing ??= this.#renew().finally(() => {
          this.#renewing = undefined;
        });
      }
    }
    this.#ticking = undefined;
  }

  /** The wall clock was set: by it, leases may be over that are not. */
  #hasJumped(now: number): boolean {
    const offsetMs = this.#options.clock.now().getTime() - now;
    const jumpMs = Math.abs(offsetMs - this.#offsetMs);
    this.#offsetMs = offsetMs;
    return jumpMs > JUMP_MS;
  }

  async #renew(): Promise<void> {
    const { queue, runs, clock, log, leaseMs } = this.#options;
    this.#hasChanged = false;
    for (let attempt = 1; !this.#closed.signal.aborted; attempt++) {
      // Those too whose outcome waits to be written: it still counts.
      const all = runs.all().toArray();
      const leases = all.map(({ lease }) => lease);
      const sentAt = clock.monotonic();
      try {
        const states = await queue.heartbeat(leases, { leaseMs });
        // The next tick asks again for those that are busy, while there is time.
        if (!states.includes("busy")) this.#renewedAt = sentAt;
        for (const [index, run] of all.entries()) {
          const state = states[index];
          if (state === "held") run.heldUntil = sentAt + leaseMs;
          else if (state !== "busy" && !run.isOver) {
            run.stop(state === "cancelled" ? "cancelled" : "lease lost");
          }
        }
        return;
      } catch (error) {
        if (attempt === 1) logUnrenewed(log, all.length, error);
        // Any other failure: the next tick tries again, while there is time.
        if (!(error instanceof DatabaseBusyError)) return;
        // Nobody can claim while another program keeps everybody out. Where only
        // this runner is cut off, others can: its leases end in their time.
        if (error.keepsAllOut) { for (const run of all) this.#keep(run); }
        await clock.sleep(BUSY_PAUSE_MS, this.#closed.signal);
      }
    }
  }

  /** Not what was over by then: nobody knows who came in before. */
  #keep(run: Run): void {
    const { clock, leaseMs } = this.#options;
    const now = clock.monotonic();
    if (now >= run.heldUntil) return;
    const keptMs = Math.max(leaseMs / RENEWALS_PER_LEASE, KEPT_MS);
    run.heldUntil = Math.max(run.heldUntil, now + keptMs);
  }

  async #writeNotes(): Promise<void> {
    const { runs, recorder, log } = this.#options;
    const noted = runs.all().filter(({ note, isOver }) => note && !isOver);
    await Promise.all(
      noted.toArray().map(async (run) => {
        const { note } = run;
        run.note = undefined;
        if (!note) return;
        const result = await recorder.record(noteProgress(run, note));
        if (result === "lost") run.stop("lease lost");
        else if (result !== "written") {
          log.warning(`Cannot write progress: ${messageOf(result)}`, {
            event: "progress_delayed",
            error: messageOf(result),
          });
        }
      }),
    );
  }
}
