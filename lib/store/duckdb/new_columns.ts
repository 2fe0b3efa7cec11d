/**
 * What a new task's row is made of, and the types of it.
 *
 * @module
 */

import type { NewRow } from "../new_rows.ts";

/** DuckDB's types of what a task's row is made of beside its id. */
export const COLUMNS: Readonly<
  Record<Exclude<keyof NewRow, "id">, string>
> = {
  user_id: "UUID",
  provider: "TEXT",
  repo_full_name: "TEXT",
  issue_number: "INTEGER",
  pr_number: "INTEGER",
  instruction: "TEXT",
  last_update: "TEXT",
  priority: "INTEGER",
  run_at: "TIMESTAMPTZ",
  max_attempts: "INTEGER",
  timeout_ms: "BIGINT",
  batch: "TEXT",
  key: "TEXT",
  tags: "TEXT",
  if_failed: "TEXT",
  blocked: "BOOLEAN",
  workspace: "TEXT",
  touches: "TEXT",
  needs_approval: "BOOLEAN",
};
