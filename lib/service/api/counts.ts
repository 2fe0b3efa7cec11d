/**
 * What there is in the store now, as all who ask about it share it.
 *
 * @module
 */

import type { Admin, Counts, StateCount } from "../../store/contract.ts";
import type { ReadCache, ReadOptions } from "./read_cache.ts";

/** Counts of the whole table need not be younger for those who look on. */
export const WATCHED = { minAgeMs: 500, maxAgeMs: 10_000 };
/** As they are, but for what time alone has changed within a second. */
export const EXACT = { maxAgeMs: 1_000 };

/** What there is in the store, read once for all who ask at about the same time. */
export function readCounts(
  { store, reads }: {
    readonly store: { readonly admin: Pick<Admin, "count"> };
    readonly reads: ReadCache;
  },
  options: ReadOptions = WATCHED,
): Promise<Counts> {
  return reads.get("counts", () => store.admin.count(), options);
}

/** How many there are together, and in each state that occurs. */
export function totalsOf(counts: readonly StateCount[]): {
  total: number;
  states: Record<string, number>;
} {
  let total = 0;
  const states: Record<string, number> = {};
  for (const { state, count } of counts) {
    total += count;
    states[state] = (states[state] ?? 0) + count;
  }
  return { total, states };
}
