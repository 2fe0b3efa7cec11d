/**
 * Where claims found their rows, so that what is written about them later need not
 * look through the whole table. Only a hint, which a checkpoint may make wrong: rows
 * are found by their ids. Without it, a task among a million takes three times as
 * long.
 *
 * @module
 */

import type { Lease, NoLease } from "../../task/task.ts";
import type { Values } from "./values.ts";

/** A lease that knows where its row is, and shows that to nobody. */
export class PlacedLease implements Lease {
  readonly taskId: string;
  readonly id: string;
  readonly owner: string;
  readonly attempt: number;
  readonly #rowid: number;

  constructor({ taskId, id, owner, attempt }: Lease, rowid: number) {
    this.taskId = taskId;
    this.id = id;
    this.owner = owner;
    this.attempt = attempt;
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
