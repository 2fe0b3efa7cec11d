/**
 * What a new task is given of the one that it repeats: the same in every store.
 *
 * @module
 */

import { sessionOf } from "../task/session.ts";
import type { JsonObject, JsonValue } from "../task/task.ts";
import { parseJson, stringifyJson } from "../task/trace.ts";
import { OUTPUT_KEY, traceTime } from "../task/transitions.ts";
import {
  approvalOf,
  APPROVED_KEY,
  DONE_KEY,
  type DoneBefore,
  taskWorkspaceOf,
  WORKSPACE_KEY,
} from "../task/workspace.ts";

/** The keys of the old trace that are read. */
export const CARRIED_KEYS = [
  WORKSPACE_KEY,
  "session",
  "error",
  "failed_at",
  APPROVED_KEY,
  OUTPUT_KEY,
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
  const done = kept.merged || kept.pullRequest || end.failed_at === null
    ? undefined
    : doneOf(kept.head, end);
  return {
    [WORKSPACE_KEY]: branch,
    ...done && { [DONE_KEY]: done },
    ...last && { session: goesOn as JsonObject },
    ...end.error !== null && end.failed_at !== null &&
      { last_error: end.error, last_failed_at: end.failed_at },
  };
}

/** It failed when its work was done, and a person had approved that. */
function doneOf(
  head: string | undefined,
  { approved, output }: Pick<Carried, "approved" | "output">,
): DoneBefore | undefined {
  const approval = approvalOf(objectOf(APPROVED_KEY, approved));
  if (approval?.of !== "merge" || !head || approval.head !== head) {
    return undefined;
  }
  return { head, ...output !== null && { output: valueOf(output) } };
}

/** A text is there as it is, and anything else as its JSON. */
function valueOf(text: string): JsonValue {
  const value = /^[[{]/.test(text) ? parseJson(text) : undefined;
  return value ?? text;
}

function objectOf(key: string, text: string | null): JsonObject {
  const value = text === null ? undefined : parseJson(text);
  return value === undefined ? {} : { [key]: value };
}
