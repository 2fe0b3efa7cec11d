/**
 * Sets of rows whose texts fit into memory at once.
 *
 * @module
 */

/**
 * The most text that is read or written at once. DuckDB has several copies of it
 * then, and 256 MB for all; PostgreSQL's client holds a whole answer.
 */
export const SET_CHARACTERS = 16 * 1024 ** 2;

/** Splits items, in their order, into sets whose texts fit; each has one item. */
export function* fittingSets<T>(
  items: readonly T[],
  lengthOf: (item: T) => number,
): Generator<T[]> {
  let set: T[] = [];
  let total = 0;
  for (const item of items) {
    const length = lengthOf(item);
    total += length;
    if (total > SET_CHARACTERS && set.length > 0) {
      yield set;
      set = [];
      total = length;
    }
    set.push(item);
  }
  if (set.length > 0) yield set;
}

/** How many items, at most so many, fit where each of them gets a text. */
export function sizeWith(text: string | undefined, most: number): number {
  const fitting = Math.floor(SET_CHARACTERS / Math.max(text?.length ?? 0, 1));
  return Math.min(Math.max(fitting, 1), most);
}
