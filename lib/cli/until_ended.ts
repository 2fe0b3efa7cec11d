/**
 * Waiting until some tasks have ended.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { DatabaseError, UserError } from "../base/errors.ts";
import { countOf } from "../base/figures.ts";
import type { Log } from "../base/log.ts";
import { Wake } from "../base/wake.ts";
import type { Admin, Events } from "../store/contract.ts";
import type { StateCounts } from "../task/batch.ts";
import { shownStateOf } from "../task/shown_state.ts";
import { type AgentTask, isFinal } from "../task/task.ts";

/** How far they are. */
export interface Progress {
  readonly total: number;
  readonly ended: number;
  readonly completed: number;
  /** By the states as they are shown. */
  readonly counts: StateCounts;
}

/** Those that ended and are not completed. */
export interface Failures {
  readonly count: number;
  /** The first of them. */
  readonly first: readonly AgentTask[];
}

/** Tasks that somebody waits for. */
export interface Awaited {
  /** The flags of `list` that show those that wait for an answer. */
  readonly listFlags: string;
  look(): Promise<Progress>;
  /** At most so many of them, and how many there are. */
  failures(most: number): Promise<Failures>;
}

/** All tasks of a batch; a task that another repeats counts no more. */
export function batchAwaited(
  admin: Pick<Admin, "batches" | "retryable" | "get">,
  name: string,
): Awaited {
  return {
    listFlags: `--batch "${name}" --state needs_input`,
    async look() {
      const [batch] = await admin.batches({ name, limit: 1 });
      if (batch) return batch;
      throw new UserError(
        `Cannot wait for batch ${name}: it is not there any more.`,
      );
    },
    async failures(most) {
      const filter = { batch: name, states: ["failed"] } as const;
      const failed = await admin.retryable(filter);
      const first = await Promise.all(
        failed.slice(0, most).map(({ id }) => admin.get(id)),
      );
      return {
        count: failed.length,
        first: first.filter((it) => it !== undefined),
      };
    },
  };
}

/** The tasks that were given. */
export function tasksAwaited(
  admin: Pick<Admin, "get">,
  given: readonly AgentTask[],
): Awaited {
  const byId = new Map(given.map((task) => [task.id, task]));
  return {
    listFlags: "--state needs_input",
    async look() {
      for (const { id, state } of byId.values()) {
        if (isFinal(state)) continue;
        const task = await admin.get(id);
        if (!task) {
          throw new UserError(
            `Cannot wait for task ${id}: it is not there any more.`,
          );
        }
        byId.set(id, task);
      }
      const tasks = [...byId.values()];
      const byState = Map.groupBy(tasks, shownStateOf);
      return {
        total: tasks.length,
        ended: tasks.filter(({ state }) => isFinal(state)).length,
        completed: tasks.filter(isCompleted).length,
        counts: Object.fromEntries(
          [...byState].map(([state, { length }]) => [state, length]),
        ),
      };
    },
    failures(most) {
      const failed = [...byId.values()].filter((it) => !isCompleted(it));
      const first = failed.slice(0, most);
      return Promise.resolve({ count: failed.length, first });
    },
  };
}

function isCompleted({ state }: AgentTask): boolean {
  return state === "completed";
}

/** Who hears of changes looks so often all the same: one may go unheard. */
const UNHEARD_MS = 5_000;
/** Who does not hear of them looks so often. */
const POLL_MS = 1_000;
/** A tenth of the time is spent looking, unless a look takes very long. */
const REST_FACTOR = 9;
const REST = { minMs: 50, maxMs: 5_000 };

/** Options for {@linkcode untilEnded}. */
export interface UntilEndedOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Without it, a change is seen within a second. */
  readonly events?: Pick<Events, "onChange"> | undefined;
  /** Infinity for as long as it takes. */
  readonly timeoutMs: number;
  /** Ends the wait. */
  readonly stopped: AbortSignal;
}

/** Looks until all have ended, the time is over, or somebody stops it. */
export async function untilEnded(
  awaited: Awaited,
  { clock, log, events, timeoutMs, stopped }: UntilEndedOptions,
): Promise<Progress> {
  const wake = new Wake();
  using _changes = events?.onChange(() => wake.wake());
  stopped.addEventListener("abort", () => wake.wake());
  const deadline = clock.monotonic() + timeoutMs;
  const looking = new Looking(awaited, log);
  let lookedAt = clock.monotonic();
  let progress = await awaited.look();
  for (;;) {
    looking.tellQuestions(progress);
    if (progress.ended === progress.total || stopped.aborted) return progress;
    const now = clock.monotonic();
    if (now >= deadline) return progress;
    const restMs = REST_FACTOR * (now - lookedAt);
    const boundMs = Math.min(Math.max(restMs, REST.minMs), REST.maxMs);
    await clock.sleep(Math.min(boundMs, deadline - now), stopped);
    const leftMs = Math.max(0, deadline - clock.monotonic());
    await wake.wait(clock, Math.min(events ? UNHEARD_MS : POLL_MS, leftMs));
    lookedAt = clock.monotonic();
    progress = await looking.again() ?? progress;
  }
}

/** Looks, and says what a person should know, once. */
class Looking {
  readonly #awaited: Awaited;
  readonly #log: Log;
  #hasToldQuestions = false;
  #problem: string | undefined;

  constructor(awaited: Awaited, log: Log) {
    this.#awaited = awaited;
    this.#log = log;
  }

  /** Undefined where the store can't be used just now. */
  async again(): Promise<Progress | undefined> {
    try {
      const progress = await this.#awaited.look();
      this.#problem = undefined;
      return progress;
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error;
      if (error.message !== this.#problem) {
        this.#log.warning(error.message, { event: "wait_delayed" });
      }
      this.#problem = error.message;
      return undefined;
    }
  }

  tellQuestions({ counts: { needs_input: asking = 0 } }: Progress): void {
    if (asking === 0 || this.#hasToldQuestions) return;
    this.#hasToldQuestions = true;
    this.#log.warning(
      `${countOf(asking, "task")} ${asking === 1 ? "waits" : "wait"} for an ` +
        `answer: agent-runner list ${this.#awaited.listFlags}`,
      { event: "hint" },
    );
  }
}
