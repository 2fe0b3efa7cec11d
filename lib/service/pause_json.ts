/**
 * Pauses as JSON: as `pauses --json` prints them, and the HTTP API.
 *
 * @module
 */

import type { PauseInfo } from "../store/contract.ts";

/** A pause with the names of its table. */
export type PauseJson = ReturnType<typeof pauseToJson>;

/** A pause with the names of its table. */
export function pauseToJson({ since, until, ...rest }: PauseInfo) {
  return {
    ...rest,
    since: since.toISOString(),
    until: until?.toISOString() ?? null,
  };
}

/** The pause that {@linkcode pauseToJson} wrote. */
export function pauseFromJson(
  { since, until, ...rest }: PauseJson,
): PauseInfo {
  return {
    ...rest,
    since: new Date(since),
    until: until === null ? null : new Date(until),
  };
}
