/**
 * Where claims found their rows, so that what is written about them later need not
 * look through the whole table. Only a hint, which a checkpoint may make wrong: rows
 * are found by their ids. Without it, a task among a million takes three times as
 * long.
 *
 * @module
 */

import type { AgentTask, Lease, NoLease } from "../../task/task.ts";
import type { Values } from "./values.ts";

/** A lease that knows where its row is, and shows that to nobody. */
export class PlacedLease implements Lease {
  readonly taskId: string;
  readonly id: string;
  readonly owner: string;
  readonly attempt: number;
  readonly #rowid: number;

  /** The lease of a task that is not begun yet. */
  constructor(
    task: AgentTask,
    { id, owner, rowid }: {
      readonly id: string;
      readonly owner: string;
      readonly rowid: number;
    },
  ) {
    this.taskId = task.id;
    this.id = id;
    this.owner = owner;
    this.attempt = task.attempt + 1;
    this.#rowid = rowid;
  }

  static rowidOf(lease: Lease | NoLease): number | undefined {
    return lease instanceof PlacedLease ? lease.#rowid : undefined;
  }
}

/** The part of the table that rows are in. */
export interface Range {
  readonly first: number;
  readonly last: number;
}

/** Where the rows of transitions are; undefined where that is not known of all. */
export function rangeOf(
  transitions: readonly { readonly lease: Lease | NoLease }[],
): Range | undefined {
  let [first, last] = [Infinity, -Infinity];
  for (const { lease } of transitions) {
    const rowid = PlacedLease.rowidOf(lease);
    if (rowid === undefined) return undefined;
    first = Math.min(first, rowid);
    last = Math.max(last, rowid);
  }
  return first <= last ? { first, last } : undefined;
}

/** Holds for a row in the range. */
export function isIn(
  range: Range | undefined,
  rowid: string,
  values: Values,
): string {
  return range
    ? `${rowid} BETWEEN ${values.bind(range.first)} AND ${
      values.bind(range.last)
    }`
    : "true";
}

/** How long a hold goes on from where the last one ended, */
const FRONTIER_MS = 2_000;
/** and how many rows it looks through for each that it wants. */
const ROWS_PER_TASK = 4;

/**
 * Where the last hold ended. Sorting a million rows for the next ten thousand takes
 * five times as long as leasing them; so the next hold looks through the rows that
 * follow, and through all where those are not enough. What is claimable elsewhere
 * is found within two seconds.
 */
export class Frontier {
  #last = -1;
  #openedAt: number | undefined;
  #until = 0;

  /**
   * The rows to look through first; undefined for all.
   *
   * @param openedAt when the file was opened, by the clock that never jumps
   */
  next(
    count: number,
    { openedAt, now }: { readonly openedAt: number; readonly now: number },
  ): Range | undefined {
    if (this.#openedAt !== openedAt || now >= this.#until) {
      this.#openedAt = openedAt;
      this.#until = now + FRONTIER_MS;
      this.#last = -1;
    }
    return this.#last < 0
      ? undefined
      : { first: this.#last + 1, last: this.#last + ROWS_PER_TASK * count };
  }

  /** To be told which rows were held, in the order to run them. */
  reached(rowids: readonly number[]): void {
    const isAscending = rowids.every((rowid, index) =>
      index === 0 || rowid > (rowids[index - 1] ?? 0)
    );
    this.#last = isAscending ? rowids.at(-1) ?? -1 : -1;
  }
}
