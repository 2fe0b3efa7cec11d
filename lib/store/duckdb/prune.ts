/**
 * Deleting what ended long ago.
 *
 * @module
 */

import { DatabaseError, messageOf } from "../../base/errors.ts";
import type { PruneCount } from "../history.ts";
import type { Connection } from "./connection.ts";
import { deliveredCondition, pruneOutbox } from "./outbox.ts";

/** Nothing that has not ended, however old. */
const IS_OLD = `status IN ('completed', 'failed')
  AND updated_at < $1::TIMESTAMPTZ`;

/** Notes which tasks to delete. Webhooks still wait for events of the others. */
async function choose(
  connection: Connection,
  before: Date,
): Promise<Omit<PruneCount, "events">> {
  const isDelivered = await deliveredCondition(connection);
  await connection.run(
    `CREATE OR REPLACE TEMP TABLE old_tasks AS
     SELECT id FROM agent_tasks WHERE ${IS_OLD}`,
    [before.toISOString()],
  );
  const kept = isDelivered === "true" ? 0 : await connection.run(
    `DELETE FROM old_tasks WHERE id IN (
       SELECT task_id FROM agent_task_events WHERE NOT (${isDelivered}))`,
  );
  const tasks = await connection.json<number>(
    "SELECT to_json(count(*)) FROM old_tasks",
  );
  return { tasks: tasks ?? 0, kept };
}

const IS_OF_OLD = "task_id IN (SELECT id FROM old_tasks)";

/** Counts in the transaction that is open on the connection. */
export async function countOld(
  connection: Connection,
  before: Date,
): Promise<PruneCount> {
  const chosen = await choose(connection, before);
  const events = await connection.json<number>(
    `SELECT to_json(count(*)) FROM agent_task_events WHERE ${IS_OF_OLD}`,
  ) ?? 0;
  await connection.run("DROP TABLE old_tasks");
  return { ...chosen, events };
}

/** Deletes in the transaction that is open on the connection. */
export async function deleteOld(
  connection: Connection,
  before: Date,
): Promise<PruneCount> {
  const chosen = await choose(connection, before);
  const events = await connection.run(
    `DELETE FROM agent_task_events WHERE ${IS_OF_OLD}`,
  );
  const referring = await connection.json<string[]>(
    `SELECT to_json(list(DISTINCT table_name)) FROM duckdb_constraints()
     WHERE constraint_type = 'FOREIGN KEY' AND referenced_table = 'agent_tasks'`,
  );
  try {
    await connection.run(
      "DELETE FROM agent_tasks WHERE id IN (SELECT id FROM old_tasks)",
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
  await connection.run("DROP TABLE old_tasks");
  return { ...chosen, events };
}

/**
 * Deletes the history up to a time, of tasks that had ended by then, in the
 * transaction that is open on the connection. Returns how many events.
 */
export async function deleteOldEvents(
  connection: Connection,
  before: Date,
): Promise<number> {
  const isDelivered = await pruneOutbox(connection, before);
  const isOld = "occurred_at < $1::TIMESTAMPTZ";
  const values = [before.toISOString()];
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
