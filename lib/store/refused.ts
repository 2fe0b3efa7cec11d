/**
 * Rows that a store refuses to write, and how all others go on.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { DatabaseError, messageOf } from "../base/errors.ts";
import type { ClaimedTask, Transition } from "../task/task.ts";
import type { Claim, ClaimOptions, Recorded } from "./contract.ts";
import { roomAfter } from "./decisions.ts";

/** One of these rows is refused; which one, the store may not say. */
export class RefusedRowsError extends Error {
  override readonly name = "RefusedRowsError";
  readonly ids: readonly string[];

  constructor(ids: readonly string[], message: string, cause: unknown) {
    super(message, { cause });
    this.ids = ids;
  }
}

/** Splits a set of which a row is refused, until that one is alone. */
export async function inParts<T, R>(
  items: readonly T[],
  work: (part: readonly T[]) => Promise<readonly R[]>,
  refused: (item: T, error: RefusedRowsError) => R,
): Promise<readonly R[]> {
  try {
    return await work(items);
  } catch (error) {
    if (!(error instanceof RefusedRowsError)) throw error;
    const [first] = items;
    if (first === undefined) throw error;
    if (items.length === 1) return [refused(first, error)];
  }
  const middle = Math.ceil(items.length / 2);
  return [
    ...await inParts(items.slice(0, middle), work, refused),
    ...await inParts(items.slice(middle), work, refused),
  ];
}

/** How long a task is left out whose row could not be written. */
const REFUSED_MS = 60_000;

/** Tasks that are left alone for a while. */
export class LeftOut {
  readonly #until = new Map<string, number>();
  readonly #clock: Clock;
  readonly #onProblem: (message: string) => void;

  constructor(clock: Clock, onProblem: (message: string) => void) {
    this.#clock = clock;
    this.#onProblem = onProblem;
  }

  get ids(): string[] {
    const now = this.#clock.monotonic();
    for (const [id, until] of this.#until) {
      if (until <= now) this.#until.delete(id);
    }
    return [...this.#until.keys()];
  }

  /** Leaves a task out, and says so. */
  add(id: string, error: unknown): void {
    this.#until.set(id, this.#clock.monotonic() + REFUSED_MS);
    this.#onProblem(
      `Cannot write the row of task ${id}: ${messageOf(error)} ` +
        "It is left alone; all others go on.",
    );
  }
}

/** Writes transitions in groups, and those of which a row is refused in parts. */
export class RecordParts {
  /** What was committed of groups of which another part was not, and comes again. */
  readonly #written = new WeakSet<Transition>();
  readonly #now: () => Date;

  constructor(now: () => Date) {
    this.#now = now;
  }

  async record(
    transitions: readonly Transition[],
    write: (part: readonly Transition[]) => Promise<Recorded>,
  ): Promise<Recorded> {
    const writeOnce = async (part: readonly Transition[]) => {
      const { at, results, hasUnblocked } = await write(part);
      const isWritten = (index: number) => {
        const transition = part[index];
        return transition !== undefined && this.#written.has(transition);
      };
      return {
        at,
        hasUnblocked,
        results: results.map((it, i) => isWritten(i) ? "written" as const : it),
      };
    };
    try {
      return await writeOnce(transitions);
    } catch (error) {
      if (!(error instanceof RefusedRowsError)) throw error;
    }
    return await this.#inParts(transitions, writeOnce);
  }

  async #inParts(
    transitions: readonly Transition[],
    write: (part: readonly Transition[]) => Promise<Recorded>,
  ): Promise<Recorded> {
    let at = this.#now();
    let hasUnblocked = false;
    const results: Recorded["results"][number][] = [];
    // Those of one task stay together: a later one builds on the first.
    const byTask = Map.groupBy(
      transitions.keys(),
      (index) => transitions[index]?.lease.taskId,
    );
    await inParts(
      [...byTask],
      async (part) => {
        const indexes = part.flatMap(([, indexes]) => indexes);
        const written = await write(
          indexes.map((index) => transitions[index] as Transition),
        );
        at = written.at;
        hasUnblocked ||= written.hasUnblocked ?? false;
        for (const [i, index] of indexes.entries()) {
          const result = results[index] = written.results[i] ?? "lost";
          const transition = transitions[index];
          if (result === "written" && transition) this.#written.add(transition);
        }
        return part;
      },
      (task, error) => {
        const [id, indexes] = task;
        for (const index of indexes) {
          results[index] = new DatabaseError(
            `Cannot write the row of task ${id}: ${messageOf(error)}`,
            { cause: error },
          );
        }
        return task;
      },
    );
    return { at, results, hasUnblocked };
  }
}

/** Rows that can't be written, of one claim: the next one goes on. */
const MOST_REFUSALS = 20;

/** What {@linkcode claimInParts} works with. */
interface ClaimParts {
  readonly claim: (options: ClaimOptions) => Promise<Claim>;
  readonly leftOut: LeftOut;
  readonly now: () => Date;
}

/** Claims together; where one of the rows can't be written, the others one by one. */
export async function claimInParts(
  options: ClaimOptions,
  parts: ClaimParts,
): Promise<Claim> {
  try {
    return await parts.claim(options);
  } catch (error) {
    if (!(error instanceof RefusedRowsError)) throw error;
  }
  return await claimSingly(options, parts);
}

async function claimSingly(
  options: ClaimOptions,
  { claim: claimOne, leftOut, now }: ClaimParts,
): Promise<Claim> {
  const tasks: ClaimedTask[] = [];
  let first: Claim | undefined;
  let waitsForIdle = false;
  let refusals = 0;
  while (
    tasks.length < options.limit && refusals < MOST_REFUSALS &&
    !options.signal?.aborted
  ) {
    try {
      const claim = await claimOne({
        ...options,
        limit: 1,
        ahead: 0,
        isIdle: options.isIdle && tasks.length === 0,
        providerRoom: roomAfter(tasks, options.providerRoom),
      });
      first ??= claim;
      tasks.push(...claim.tasks);
      waitsForIdle = claim.waitsForIdle;
      if (claim.tasks.length === 0 || claim.tasks[0]?.isAlone) break;
    } catch (error) {
      if (!(error instanceof RefusedRowsError)) throw error;
      refusals++;
      for (const id of error.ids) leftOut.add(id, error);
    }
  }
  const { at = now(), pauses = [] } = first ?? {};
  return { tasks, waitsForIdle, hasMore: false, at, pauses };
}
