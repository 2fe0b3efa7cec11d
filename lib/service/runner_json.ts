/**
 * Runners as JSON: as `runners --json` prints them, and the HTTP API.
 *
 * @module
 */

import type { RunnerInfo } from "../store/contract.ts";

/** A runner with the names of its table. */
export type RunnerJson = ReturnType<typeof runnerToJson>;

/** A runner with the names of its table. */
export function runnerToJson(
  { startedAt, seenAt, isDraining, isGone, inHand, ...rest }: RunnerInfo,
) {
  return {
    ...rest,
    started_at: startedAt.toISOString(),
    seen_at: seenAt.toISOString(),
    draining: isDraining,
    gone: isGone,
    in_hand: inHand,
  };
}

/** The runner that {@linkcode runnerToJson} wrote. */
export function runnerFromJson(
  { started_at, seen_at, draining, gone, in_hand, ...rest }: RunnerJson,
): RunnerInfo {
  return {
    ...rest,
    startedAt: new Date(started_at),
    seenAt: new Date(seen_at),
    isDraining: draining,
    isGone: gone,
    inHand: in_hand,
  };
}
