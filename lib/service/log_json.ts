/**
 * Logs of runs as JSON: as `logs --json` prints their lines, and the HTTP API.
 *
 * @module
 */

import type { LogEntry, LogPage } from "../store/contract.ts";

/** An entry of a log as JSON. */
export type LogEntryJson = ReturnType<typeof logEntryToJson>;

/** An entry of a log as JSON. */
export function logEntryToJson({ at, kind, text }: LogEntry) {
  return { at: at.toISOString(), kind, text };
}

/** A page of a log as JSON. */
export type LogPageJson = ReturnType<typeof logPageToJson>;

/** A page of a log as JSON. */
export function logPageToJson(
  { attempt, attempts, entries, next, hasMore, isOver, hasEnded }: LogPage,
) {
  return {
    attempt,
    attempts: [...attempts],
    entries: entries.map(logEntryToJson),
    next_cursor: next ?? null,
    has_more: hasMore,
    over: isOver,
    ended: hasEnded,
  };
}

/** The page that {@linkcode logPageToJson} wrote. */
export function logPageFromJson(
  { entries, next_cursor, has_more, over, ended, ...rest }: LogPageJson,
): LogPage {
  return {
    ...rest,
    entries: entries.map(({ at, ...entry }) => ({
      ...entry,
      at: new Date(at),
    })),
    next: next_cursor ?? undefined,
    hasMore: has_more,
    isOver: over,
    hasEnded: ended,
  };
}
