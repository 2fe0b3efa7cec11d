/**
 * What a new task is given of the one that it repeats: the same in every store.
 *
 * @module
 */

import { sessionOf } from "../task/session.ts";
import type { JsonObject } from "../task/task.ts";
import { parseJson, stringifyJson } from "../task/trace.ts";
import { traceTime } from "../task/transitions.ts";
import { taskWorkspaceOf, WORKSPACE_KEY } from "../task/workspace.ts";

/** The keys of the old trace that are read. */
export const CARRIED_KEYS = [
  WORKSPACE_KEY,
  "session",
  "error",
  "failed_at",
] as const;

/** Their values: texts, or the texts of objects; null where there are none. */
export type Carried = {
  readonly [key in (typeof CARRIED_KEYS)[number]]: string | null;
};

/** A person's note that new tasks begin with. */
export interface FirstNote {
  readonly text: string | undefined;
  /** The store's time. */
  readonly at: Date;
}

/**
 * The trace of a task that repeats another. Where that one had a branch, the new one
 * goes on with it, in its session; what was merged, or approved, is that one's.
 */
export function retriedTrace(
  { id, ...carried }: Carried & { readonly id: string },
  { text, at }: FirstNote,
): string {
  return stringifyJson({
    retry_of: id,
    ...carriedOf(carried),
    ...text === undefined ? {} : { notes: [{ text, at: traceTime(at) }] },
  });
}

function carriedOf({ workspace, session, ...end }: Carried): JsonObject {
  const kept = taskWorkspaceOf(objectOf(WORKSPACE_KEY, workspace));
  if (!kept) return {};
  const { merged: _, pullRequest: __, ...branch } = kept;
  const last = sessionOf(objectOf("session", session));
  // It was told of the old task's notes and answers, not of this one's.
  const { told: ___, ...goesOn } = last ?? {};
  return {
    [WORKSPACE_KEY]: branch,
    ...last && { session: goesOn as JsonObject },
    ...end.error !== null && end.failed_at !== null &&
      { last_error: end.error, last_failed_at: end.failed_at },
  };
}

function objectOf(key: string, text: string | null): JsonObject {
  const value = text === null ? undefined : parseJson(text);
  return value === undefined ? {} : { [key]: value };
}
