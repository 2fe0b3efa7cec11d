/**
 * What there is in the store now, as all who ask about it share it.
 *
 * @module
 */

import type { Clock } from "../../base/clock.ts";
import type { Admin, Counts, StateCount } from "../../store/contract.ts";
import type { ReadCache } from "./read_cache.ts";

/** Counts of the whole table need not be younger. */
const COUNTS_AGE_MS = 500;
/** And not be older: what is due becomes claimable though nothing changes. */
const MAX_COUNTS_AGE_MS = 10_000;

/** What {@linkcode readCounts} is given. */
export interface CountsSource {
  readonly store: { readonly admin: Pick<Admin, "count"> };
  readonly clock: Clock;
  readonly reads: ReadCache;
}

/** What there is in the store, read once for all who ask at about the same time. */
export function readCounts(
  { store, clock, reads }: CountsSource,
): Promise<Counts> {
  const period = Math.floor(clock.monotonic() / MAX_COUNTS_AGE_MS);
  return reads.get(
    `counts ${period}`,
    () => store.admin.count(),
    COUNTS_AGE_MS,
  );
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
