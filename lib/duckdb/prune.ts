/**
 * Deleting what ended long ago.
 *
 * @module
 */

import { DatabaseError, messageOf } from "../errors.ts";
import type { PruneResult } from "../history.ts";
import type { Connection } from "./connection.ts";

/** Nothing that has not ended, however old. */
const IS_OLD = `status IN ('completed', 'failed')
  AND updated_at < $1::TIMESTAMPTZ`;

const IS_OF_OLD = `task_id IN (SELECT id FROM agent_tasks WHERE ${IS_OLD})`;

/** Counts in the transaction that is open on the connection. */
export async function countOld(
  connection: Connection,
  before: Date,
): Promise<PruneResult> {
  return await connection.json<PruneResult>(
    `SELECT to_json({
       tasks: (SELECT count(*) FROM agent_tasks WHERE ${IS_OLD}),
       events: (SELECT count(*) FROM agent_task_events WHERE ${IS_OF_OLD})})`,
    [before.toISOString()],
  ) ?? { tasks: 0, events: 0 };
}

/** Deletes in the transaction that is open on the connection. */
export async function deleteOld(
  connection: Connection,
  before: Date,
): Promise<PruneResult> {
  const values = [before.toISOString()];
  const events = await connection.run(
    `DELETE FROM agent_task_events WHERE ${IS_OF_OLD}`,
    values,
  );
  const referring = await connection.json<string[]>(
    `SELECT to_json(list(DISTINCT table_name)) FROM duckdb_constraints()
     WHERE constraint_type = 'FOREIGN KEY' AND referenced_table = 'agent_tasks'`,
  );
  try {
    const tasks = await connection.run(
      `DELETE FROM agent_tasks WHERE ${IS_OLD}`,
      values,
    );
    return { tasks, events };
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
}
