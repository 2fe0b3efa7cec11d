/**
 * Pauses as JSON: as `pauses --json` prints them, and the HTTP API.
 *
 * @module
 */

import { OTHERS, type PauseInfo, type PauseTarget } from "../store/contract.ts";

/** A pause with the names of its table. */
export type PauseJson = ReturnType<typeof pauseToJson>;

/** A pause with the names of its table. */
export function pauseToJson({ since, until, batch, ...rest }: PauseInfo) {
  return {
    ...rest,
    batch: batch === "" ? null : batch,
    since: since.toISOString(),
    until: until?.toISOString() ?? null,
  };
}

/** The pause that {@linkcode pauseToJson} wrote. */
export function pauseFromJson(
  { since, until, batch, ...rest }: PauseJson,
): PauseInfo {
  return {
    ...rest,
    batch: batch ?? "",
    since: new Date(since),
    until: until === null ? null : new Date(until),
  };
}

/** What a request names. */
export function targetToJson(
  { provider, batch }: PauseTarget,
): Record<string, string | boolean> {
  if (batch !== undefined) return { batch };
  if (provider === OTHERS) return { all: true };
  return { provider };
}
