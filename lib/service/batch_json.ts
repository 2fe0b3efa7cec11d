/**
 * Batches as JSON: as `batches --json` prints them, and the HTTP API.
 *
 * @module
 */

import type { Batch } from "../store/contract.ts";

/** A batch with the names that JSON has. */
export type BatchJson = ReturnType<typeof batchToJson>;

/** A batch with the names that JSON has. */
export function batchToJson(
  { counts, createdAt, endedAt, costUsd, ...rest }: Batch,
) {
  return {
    ...rest,
    states: { ...counts },
    created_at: createdAt.toISOString(),
    ended_at: endedAt?.toISOString() ?? null,
    cost_usd: costUsd,
  };
}

/** The batch that {@linkcode batchToJson} wrote. */
export function batchFromJson(
  { states, created_at, ended_at, cost_usd, ...rest }: BatchJson,
): Batch {
  return {
    ...rest,
    counts: states,
    createdAt: new Date(created_at),
    endedAt: ended_at === null ? null : new Date(ended_at),
    costUsd: cost_usd,
  };
}
