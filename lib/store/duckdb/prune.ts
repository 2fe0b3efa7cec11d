/**
 * Deleting what ended long ago.
 *
 * @module
 */

import { DatabaseError, messageOf } from "../../base/errors.ts";
import type { PruneCount, Pruned } from "../contract.ts";
import type { Connection } from "./connection.ts";
import type { Database } from "./database.ts";
import { deliveredCondition, pruneOutbox } from "./outbox.ts";
import { deleteOldLogs } from "./run_logs.ts";

/** Nothing that has not ended, however old. */
const IS_OLD = `status IN ('completed', 'failed')
  AND updated_at < $1::TIMESTAMPTZ`;

/** Holds for the tasks that no other waits for. */
const IS_DONE_WITH = `id NOT IN (
  SELECT d.after_id FROM agent_task_dependencies d
  JOIN agent_tasks w ON w.id = d.task_id
  WHERE w.status NOT IN ('completed', 'failed'))`;

/** Finds the old tasks but for those that webhooks, or tasks, still wait for. */
async function prunableTasks(connection: Connection): Promise<string> {
  const isDelivered = await deliveredCondition(connection);
  const old = `SELECT id FROM agent_tasks WHERE ${IS_OLD} AND ${IS_DONE_WITH}`;
  return isDelivered === "true" ? old : `${old} AND id NOT IN (
    SELECT task_id FROM agent_task_events WHERE NOT (${isDelivered}))`;
}

/** Counts in the transaction that is open on the connection. */
export async function countOld(
  connection: Connection,
  before: Date,
): Promise<PruneCount> {
  const prunable = await prunableTasks(connection);
  const count = await connection.json<PruneCount & { old: number }>(
    `SELECT to_json({
       old: (SELECT count(*) FROM agent_tasks WHERE ${IS_OLD}),
       tasks: (SELECT count(*) FROM (${prunable})),
       events: (SELECT count(*) FROM agent_task_events
         WHERE task_id IN (${prunable}))})`,
    [before],
  );
  const { old = 0, tasks = 0, events = 0 } = count ?? {};
  return { tasks, events, kept: old - tasks };
}

/** Deletes in one transaction, and measures the file in others. */
export async function prune(
  database: Database,
  before: Date,
): Promise<Pruned> {
  const sizeBefore = await measure(database);
  const count = await database.transaction((connection) =>
    deleteOld(connection, before)
  );
  const sizeAfter = await measure(database);
  const size = sizeBefore && sizeAfter && {
    before: sizeBefore.bytes,
    after: sizeAfter.bytes,
    free: sizeAfter.freeBytes,
  };
  return { ...count, size };
}

async function deleteOld(
  connection: Connection,
  before: Date,
): Promise<PruneCount> {
  const count = await countOld(connection, before);
  const prunable = await prunableTasks(connection);
  const values = [before];
  const referring = await connection.json<string[]>(
    `SELECT to_json(list(DISTINCT table_name)) FROM duckdb_constraints()
     WHERE constraint_type = 'FOREIGN KEY' AND referenced_table = 'agent_tasks'`,
  );
  // Those of both sides: what waited for them has ended, too.
  await connection.run(
    `DELETE FROM agent_task_dependencies
     WHERE task_id IN (${prunable}) OR after_id IN (${prunable})`,
    values,
  );
  for (const table of ["agent_task_logs", "agent_task_events"]) {
    await connection.run(
      `DELETE FROM ${table} WHERE task_id IN (${prunable})`,
      values,
    );
  }
  try {
    await connection.run(
      `DELETE FROM agent_tasks WHERE id IN (${prunable})`,
      values,
    );
  } catch (error) {
    if (!/foreign key/i.test(messageOf(error))) throw error;
    throw new DatabaseError(
      `Cannot delete old tasks: ${
        referring?.join(", ") ?? "another table"
      } refers to some of them. Nothing was deleted. ` +
        "Delete what refers to them first.",
      { cause: error },
    );
  }
  return count;
}

interface Measured {
  readonly bytes: number;
  readonly freeBytes: number;
}

/** Has all that is committed in the file itself; null where there is no file. */
function measure(database: Database): Promise<Measured | null> {
  return database.transaction(async (connection) => {
    await connection.run("CHECKPOINT");
    return await connection.json<Measured>(
      `SELECT to_json({bytes: total_blocks * block_size,
         freeBytes: free_blocks * block_size}) FROM pragma_database_size()
       WHERE database_name = current_database() AND total_blocks > 0`,
    );
  });
}

/**
 * Deletes the history up to a time, of tasks that had ended by then, and their logs,
 * in the transaction that is open on the connection. Returns how many events.
 */
export async function deleteOldEvents(
  connection: Connection,
  before: Date,
): Promise<number> {
  await deleteOldLogs(connection, before);
  const isDelivered = await pruneOutbox(connection, before);
  const isOld = "occurred_at < $1::TIMESTAMPTZ";
  const values = [before];
  // Mostly there is nothing, which DuckDB knows without reading any row.
  const hasOld = await connection.json<boolean>(
    `SELECT to_json(EXISTS (FROM agent_task_events WHERE ${isOld}))`,
    values,
  );
  if (!hasOld) return 0;
  return await connection.run(
    `DELETE FROM agent_task_events WHERE ${isOld}
       AND task_id NOT IN (SELECT id FROM agent_tasks
         WHERE status NOT IN ('completed', 'failed')
           OR updated_at >= $1::TIMESTAMPTZ) AND ${isDelivered}`,
    values,
  );
}
