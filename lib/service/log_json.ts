/**
 * Logs of runs as JSON: as `logs --json` prints their lines, and the HTTP API.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import { OUTPUT_KINDS } from "../task/run_log.ts";
import { count, time, wholeNumber } from "./api/task_schemas.ts";
import type { LogEntry, LogPage } from "../store/contract.ts";

/** The most lines of a page. */
export const MAX_PAGE_LINES = 5_000;

const place = {
  attempt: wholeNumber(1, 2_147_483_647).optional().openapi({
    description: "Default: the last one that has a log",
  }),
  after: z.string().optional().openapi({
    description: "The next_cursor of a page: goes on in the same attempt",
  }),
};

/** Which lines. */
export const logQuerySchema = z.object({
  ...place,
  limit: wholeNumber(1, MAX_PAGE_LINES).default(1_000).openapi({
    description: "Lines at most; fewer where they are long",
  }),
});

/** Which lines, and all that come after them. */
export const logStreamQuerySchema = z.object(place);

/** A page of a log. */
export const logPageSchema = z.object({
  attempt: count.nullable().openapi({
    description: "Whose log it is; null where no attempt has one",
  }),
  attempts: z.array(count).openapi({
    description: "All attempts that have a log",
  }),
  entries: z.array(
    z.object({
      at: time,
      kind: z.enum([...OUTPUT_KINDS, "omitted"]).openapi({
        description: "`omitted` says how many lines were left out here",
      }),
      text: z.string(),
    }).openapi("LogEntry"),
  ).openapi({ description: "Oldest first" }),
  next_cursor: z.string().nullable().openapi({
    description: "Where to go on, now or later; null: nothing was there yet",
  }),
  has_more: z.boolean().openapi({ description: "There may be more already" }),
  over: z.boolean().openapi({
    description: "The attempt is over: what comes yet comes within seconds",
  }),
  ended: z.boolean().openapi({ description: "So is its task" }),
}).openapi("LogPage");

/** An entry of a log as JSON. */
export function logEntryToJson({ at, kind, text }: LogEntry) {
  return { at: at.toISOString(), kind, text };
}

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
  { entries, next_cursor, has_more, over, ended, ...rest }: ReturnType<
    typeof logPageToJson
  >,
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
