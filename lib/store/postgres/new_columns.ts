/**
 * What a new task's row is made of, and the types of it.
 *
 * @module
 */

import { parseTrace } from "../../task/trace.ts";
import type { NewRow } from "../new_rows.ts";

/** What a task's row is made of beside its id. */
export const COLUMNS: Readonly<
  Record<Exclude<keyof NewRow, "id">, string>
> = {
  user_id: "uuid",
  provider: "text",
  repo_full_name: "text",
  issue_number: "integer",
  pr_number: "integer",
  instruction: "text",
  last_update: "text",
  priority: "integer",
  run_at: "timestamptz",
  max_attempts: "integer",
  timeout_ms: "bigint",
  batch: "text",
  key: "text",
  tags: "text",
  if_failed: "text",
  blocked: "boolean",
  workspace: "text",
  touches: "text",
  needs_approval: "boolean",
};

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The id of the task that it repeats, as its trace names it. */
export function retriedBy(trace: string | null): string | null {
  if (!trace?.includes('"retry_of"')) return null;
  const id = parseTrace(trace)?.retry_of;
  return typeof id === "string" && UUID.test(id) ? id : null;
}
