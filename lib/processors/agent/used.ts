/**
 * What a run used, of an agent that tells only what its session used so far.
 *
 * @module
 */

import { type Usage, usageOf } from "../../task/usage.ts";

const NUMBERS = ["input", "output", "cached"] as const;

/**
 * What came since then.
 *
 * @param sum what the session used so far
 * @param before the same, before the run. Where that is more, the session was begun
 * anew, and the sum is the run's own
 */
export function sinceThen(
  sum: Usage | undefined,
  before: Usage | undefined,
): Usage | undefined {
  if (!sum || !before) return sum;
  const isAnew = NUMBERS.some((key) => (sum[key] ?? 0) < (before[key] ?? 0));
  if (isAnew) return sum;
  const rest = NUMBERS.flatMap((key) => {
    const number = sum[key];
    return number === undefined ? [] : [[key, number - (before[key] ?? 0)]];
  });
  return usageOf({ ...sum, ...Object.fromEntries(rest) });
}
