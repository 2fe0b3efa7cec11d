/**
 * The runs that a runner has in hand.
 *
 * @module
 */

import type {
  AgentTask,
  ClaimedTask,
  Lease,
  ProgressNote,
  TaskState,
} from "../task/task.ts";
import type { Held } from "../task/transitions.ts";
import { StopSwitch } from "./execute.ts";

/** One claimed task in this process, and what stops its run. */
export class Run extends StopSwitch implements Held {
  /** As its processor sees it: running, at the attempt of this run. */
  readonly task: AgentTask;
  readonly lease: Lease;
  /** No other is claimed before it is over. */
  readonly isAlone: boolean;
  /** The state that the store has it in since its claim. */
  readonly claimedState: TaskState;
  /** What the processor noted and nobody has written yet. */
  note: ProgressNote | undefined;
  /** Its processor does no work. */
  isSimulated = false;
  /** How much is done, as the processor noted last. */
  fraction: number | undefined;
  /** The work is over: what is left is to write its outcome. */
  isOver = false;
  /** Until then, by the clock that never jumps, nobody else can have the task. */
  heldUntil: number;
  #onGone: (() => void) | undefined;

  constructor(
    { task, lease, isAlone = false }: ClaimedTask,
    heldUntil: number,
  ) {
    super();
    this.claimedState = task.state;
    const { attempt } = lease;
    this.task = Object.assign(task, { state: "running", attempt });
    this.lease = lease;
    this.isAlone = isAlone;
    this.heldUntil = heldUntil;
  }

  /** The store has it as begun since its claim. */
  get isBegun(): boolean {
    return this.claimedState === "running";
  }

  /** Resolves when the work is over; for the one run that comes after it. */
  gone(): Promise<void> {
    if (this.isOver) return Promise.resolve();
    return new Promise((resolve) => this.#onGone = resolve);
  }

  /** Says that the work is over. */
  end(): void {
    this.isOver = true;
    this.#onGone?.();
  }
}

/** Every run in hand, those that are not begun included. */
export class Runs {
  /** Claimed, and waiting for a slot. */
  readonly #held = new Set<Run>();
  /** The newest run of each task; an older one is being ended. */
  readonly #runs = new Map<string, Run>();
  readonly #ending = new Set<Run>();
  /** Called when there is a first run again. */
  onFirst: (() => void) | undefined;

  /** How many there are, until their outcome is written. */
  get size(): number {
    return this.#held.size + this.#runs.size + this.#ending.size;
  }

  /** Those whose leases are to be renewed. */
  all(): IteratorObject<Run> {
    return this.#runs.values();
  }

  /** How many runs of a provider are at work or are to be. */
  countOf(isCounted: (provider: string) => boolean): number {
    let count = 0;
    for (const runs of [this.#held, this.#runs.values()]) {
      for (const { task, isOver } of runs) {
        if (!isOver && isCounted(task.provider)) count++;
      }
    }
    return count;
  }

  /** Takes what was claimed and waits for a slot. */
  hold(run: Run): void {
    this.#held.add(run);
  }

  /**
   * Takes what is to begin now. A run of the same task that is still there has
   * lost its lease: it is told, and returned, and the new one must wait until it
   * is gone.
   */
  add(run: Run): Run | undefined {
    this.#held.delete(run);
    const { id } = run.task;
    const before = this.#runs.get(id);
    if (before) {
      this.#ending.add(before);
      before.stop("lease lost");
    }
    this.#runs.set(id, run);
    if (this.#runs.size === 1) this.onFirst?.();
    return before;
  }

  delete(run: Run): void {
    this.#held.delete(run);
    this.#ending.delete(run);
    if (this.#runs.get(run.task.id) === run) this.#runs.delete(run.task.id);
  }

  /** Stops every run that has begun. */
  stopAll(reason: "shutdown"): void {
    for (const run of this.#runs.values()) run.stop(reason);
  }
}
