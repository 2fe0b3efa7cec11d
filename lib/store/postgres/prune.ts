/**
 * Deleting what ended long ago.
 *
 * @module
 */

import { DatabaseError } from "../../base/errors.ts";
import type { PruneCount, Pruned } from "../contract.ts";
import type { Connection } from "./connection.ts";
import { type Database, LONG_MS } from "./database.ts";
import { codeOf } from "./explain.ts";

/** Nothing that has not ended, however old. */
const IS_OLD = `status IN ('completed', 'failed')
  AND updated_at < $1::timestamptz`;

/** Holds for an event `e` that a receiver has not come to, or has not got. */
const IS_AWAITED = `(
  EXISTS (SELECT FROM agent_webhook_endpoints p WHERE p.gone_at IS NULL
    AND (e.xid, e.id) > (p.last_xid, p.last_event_id))
  OR EXISTS (SELECT FROM agent_webhook_deliveries d
    WHERE d.task_id = e.task_id AND d.event_id = e.id
      AND d.given_up_at IS NULL))`;

/** Finds the old tasks but for those that webhooks still wait for. */
const PRUNABLE = `SELECT id FROM agent_tasks WHERE ${IS_OLD} AND NOT EXISTS (
  SELECT FROM agent_task_events e
  WHERE e.task_id = agent_tasks.id AND ${IS_AWAITED})`;

/** Counts in the transaction that is open on the connection. */
export async function countOld(
  connection: Connection,
  before: Date,
): Promise<PruneCount> {
  const [row] = await connection.rows<PruneCount & { old: number }>(
    `SELECT (SELECT count(*) FROM agent_tasks WHERE ${IS_OLD}) AS old,
       (SELECT count(*) FROM (${PRUNABLE}) prunable) AS tasks,
       (SELECT count(*) FROM agent_task_events
         WHERE task_id IN (${PRUNABLE})) AS events`,
    [before],
  );
  const { old = 0, tasks = 0, events = 0 } = row ?? {};
  return { tasks, events, kept: old - tasks };
}

/** The space that was theirs stays the server's, for what comes. */
export async function prune(
  database: Database,
  before: Date,
): Promise<Pruned> {
  try {
    const count = await database.transaction(
      (connection) => deleteOld(connection, before),
      { timeoutMs: LONG_MS },
    );
    return { ...count, size: null };
  } catch (error) {
    const { cause } = error as Error;
    if (codeOf(cause) !== "23503") throw error;
    const { table_name: table } = cause as { table_name?: string };
    throw new DatabaseError(
      `Cannot delete old tasks: ${
        table ?? "another table"
      } refers to some of them. Nothing was deleted. ` +
        "Delete what refers to them first.",
      { cause: error },
    );
  }
}

async function deleteOld(
  connection: Connection,
  before: Date,
): Promise<PruneCount> {
  const [row] = await connection.rows<{ old: number }>(
    `SELECT count(*) AS old FROM agent_tasks WHERE ${IS_OLD}`,
    [before],
  );
  const events = await connection.run(
    `DELETE FROM agent_task_events WHERE task_id IN (${PRUNABLE})`,
    [before],
  );
  const tasks = await connection.run(
    `DELETE FROM agent_tasks WHERE id IN (${PRUNABLE})`,
    [before],
  );
  return { tasks, events, kept: (row?.old ?? 0) - tasks };
}

/**
 * Deletes the history up to a time, of tasks that had ended by then, in the
 * transaction that is open on the connection. Forgets receivers that no runner has
 * served since then, and what was given up before. Returns how many events.
 */
export async function deleteOldEvents(
  connection: Connection,
  before: Date,
): Promise<number> {
  await connection.run(
    "DELETE FROM agent_webhook_endpoints WHERE seen_at < $1::timestamptz",
    [before],
  );
  await connection.run(
    `DELETE FROM agent_webhook_deliveries d
     WHERE given_up_at < $1::timestamptz OR NOT EXISTS (
       SELECT FROM agent_webhook_endpoints p WHERE p.endpoint = d.endpoint)`,
    [before],
  );
  return await connection.run(
    `DELETE FROM agent_task_events e WHERE occurred_at < $1::timestamptz
       AND NOT EXISTS (SELECT FROM agent_tasks t WHERE t.id = e.task_id
         AND (status NOT IN ('completed', 'failed')
           OR updated_at >= $1::timestamptz))
       AND NOT ${IS_AWAITED}`,
    [before],
  );
}
