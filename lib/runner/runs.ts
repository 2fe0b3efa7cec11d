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
  /** The state that the store has it in since its claim. */
  readonly claimedState: TaskState;
  /** What the processor noted and nobody has written yet. */
  note: ProgressNote | undefined;
  /** The work is over: what is left is to write its outcome. */
  isOver = false;
  /** Until then, by the clock that never jumps, nobody else can have the task. */
  heldUntil: number;
  #onGone: (() => void) | undefined;

  constructor({ task, lease }: ClaimedTask, heldUntil: number) {
    super();
    this.claimedState = task.state;
    const { attempt } = lease;
    this.task = Object.assign(task, { state: "running", attempt });
    this.lease = lease;
    this.heldUntil = heldUntil;
  }

  /** The store has it as begun since its claim. */
  get isBegun(): boolean {
    return this.claimedState === "running";
  }

  /** Resolves when the work is over. */
  gone(): Promise<void> {
    if (this.isOver) return Promise.resolve();
    return new Promise((resolve) => this.#onGone = resolve);
  }

  end(): void {
    this.isOver = true;
    this.#onGone?.();
  }
}

/** Every run in hand, those that are not begun included. */
export class Runs {
  /** The newest run of each task; an older one is being ended. */
  readonly #runs = new Map<string, Run>();
  readonly #ending = new Set<Run>();
  /** Called when there is a first run again. */
  onFirst: (() => void) | undefined;

  get size(): number {
    return this.#runs.size + this.#ending.size;
  }

  /** Those whose leases count. */
  all(): IteratorObject<Run> {
    return this.#runs.values();
  }

  /** How many runs of a provider are at work. */
  countOf(isCounted: (provider: string) => boolean): number {
    let count = 0;
    for (const { task, isOver } of this.#runs.values()) {
      if (!isOver && isCounted(task.provider)) count++;
    }
    return count;
  }

  /**
   * Takes a claim in hand. A run of the same task that is still there has lost its
   * lease: it is told, and returned, and the new one must wait until it is gone.
   */
  add(run: Run): Run | undefined {
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
    this.#ending.delete(run);
    if (this.#runs.get(run.task.id) === run) this.#runs.delete(run.task.id);
  }

  /** Stops every run. */
  stopAll(reason: "shutdown"): void {
    for (const run of this.#runs.values()) run.stop(reason);
  }
}
