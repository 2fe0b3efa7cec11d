/**
 * Running tasks again, in sets.
 *
 * @module
 */

import { TASK_STATES } from "../../task/task.ts";
import type { RetryRefusal, RetryResult } from "../task_sets.ts";
import { stringifyJson } from "../../task/trace.ts";
import type { Connection } from "./connection.ts";

/** The key of a new task's trace that names the one it repeats. */
const RETRY_OF = "retry_of";

/** The id in a trace of the task that its own repeats; empty for none. */
const RETRIED_ID = `
  regexp_extract(last_update, '"${RETRY_OF}":\\s*"([-0-9a-f]{36})"', 1)`;

/** A first look at a trace: a regular expression for each takes ten times as long. */
const IS_RETRY = `contains(last_update, '"${RETRY_OF}"')`;

/** Holds for a task that has ended and that no other repeats. */
export const NEVER_RETRIED = `
  status IN ('completed', 'failed') AND id::TEXT NOT IN (
    SELECT ${RETRIED_ID} FROM agent_tasks WHERE ${IS_RETRY})`;

/** Holds for a task that waits for its next attempt. */
export const awaitsAttempt = (now: string) => `
  status = 'running' AND cancel_requested_at IS NULL
  AND coalesce(lease_expires_at <= ${now}::TIMESTAMPTZ, true)
  AND run_at > ${now}::TIMESTAMPTZ`;

/** What is to be done with a task: a result, or why it can't be retried. */
const VERDICT = `
  CASE WHEN id IS NULL THEN 'missing'
    WHEN status IN ('completed', 'failed') THEN 'new'
    WHEN status NOT IN ('${TASK_STATES.join("', '")}') THEN 'unknown state'
    WHEN status <> 'running' THEN status
    WHEN cancel_requested_at IS NOT NULL THEN 'cancelling'
    WHEN lease_expires_at > $1::TIMESTAMPTZ THEN 'running'
    WHEN run_at > $1::TIMESTAMPTZ THEN 'due'
    ELSE 'claimable' END`;

interface VerdictRow {
  readonly verdict: "new" | "due" | RetryRefusal;
  readonly new_id: string;
  readonly earlier_id: string | null;
}

/** Retries tasks in the transaction that is open on the connection. */
export async function retryTasks(
  connection: Connection,
  ids: readonly string[],
  now: Date,
): Promise<RetryResult[]> {
  const at = now.toISOString();
  await connection.run(
    `CREATE OR REPLACE TEMP TABLE asked (
       position INTEGER, task_id UUID, new_id UUID)`,
  );
  await connection.append("asked", [
    { type: "integer", values: ids.map((_, index) => index) },
    { type: "text", values: ids },
    { type: "text", values: ids.map(() => crypto.randomUUID()) },
  ]);
  await connection.run(
    `CREATE OR REPLACE TEMP TABLE judged AS
     SELECT position, task_id, new_id, attempt, updated_at, ${VERDICT} AS verdict
     FROM asked LEFT JOIN agent_tasks ON id = task_id`,
    [at],
  );
  const rows = await readVerdicts(connection);
  await createAgain(connection, at);
  await makeDue(connection, at);
  await connection.run("DROP TABLE asked; DROP TABLE judged");
  return rows.map(({ verdict, new_id: newId, earlier_id: earlierId }) => {
    if (verdict === "new") return { kind: "created", newId, earlierId };
    if (verdict === "due") return { kind: "due" };
    return { kind: "refused", why: verdict };
  });
}

async function readVerdicts(connection: Connection): Promise<VerdictRow[]> {
  // A retry is younger than what it repeats: DuckDB skips what is older.
  const since = await connection.json<string>(
    `SELECT to_json(min(updated_at)::TIMESTAMPTZ::TEXT)
     FROM judged WHERE verdict = 'new'`,
  );
  return await connection.json<VerdictRow[]>(
    `SELECT to_json(list({verdict: verdict, new_id: new_id,
       earlier_id: earlier_id} ORDER BY position))
     FROM judged LEFT JOIN (
       SELECT ${RETRIED_ID} AS of_id, arg_max(id, created_at) AS earlier_id
       FROM agent_tasks
       WHERE created_at >= $1::TIMESTAMPTZ AND ${IS_RETRY} GROUP BY of_id)
       ON of_id = task_id::TEXT`,
    [since],
  ) ?? [];
}

async function createAgain(connection: Connection, at: string): Promise<void> {
  const [start, end] = stringifyJson({ [RETRY_OF]: "|" }).split("|");
  await connection.run(
    `INSERT INTO agent_tasks
       (id, user_id, provider, repo_full_name, issue_number, pr_number,
        instruction, status, last_update, created_at, updated_at,
        priority, attempt, max_attempts, timeout_ms)
     SELECT new_id, user_id, provider, repo_full_name, issue_number, pr_number,
       instruction, 'created', concat($2::TEXT, id, $3::TEXT),
       $1::TIMESTAMPTZ, $1::TIMESTAMPTZ, priority, 0, max_attempts, timeout_ms
     FROM judged JOIN agent_tasks ON id = task_id
     WHERE verdict = 'new' ORDER BY position`,
    [at, start ?? "", end ?? ""],
  );
  await connection.run(
    `INSERT INTO agent_task_events (task_id, kind, occurred_at, attempt, detail)
     SELECT task_id, 'retried', $1::TIMESTAMPTZ, coalesce(attempt, 0),
       concat('as task ', new_id)
     FROM judged WHERE verdict = 'new' ORDER BY position`,
    [at],
  );
  await connection.run(
    `INSERT INTO agent_task_events (task_id, kind, occurred_at, attempt, detail)
     SELECT new_id, 'created', $1::TIMESTAMPTZ, 0, concat('retry of ', task_id)
     FROM judged WHERE verdict = 'new' ORDER BY position`,
    [at],
  );
}

async function makeDue(connection: Connection, at: string): Promise<void> {
  await connection.run(
    `UPDATE agent_tasks SET run_at = NULL, updated_at = $1::TIMESTAMPTZ
     WHERE id IN (SELECT task_id FROM judged WHERE verdict = 'due')`,
    [at],
  );
  await connection.run(
    `INSERT INTO agent_task_events (task_id, kind, occurred_at, attempt, detail)
     SELECT task_id, 'retried', $1::TIMESTAMPTZ, coalesce(attempt, 0), 'at once'
     FROM judged WHERE verdict = 'due' ORDER BY position`,
    [at],
  );
}
