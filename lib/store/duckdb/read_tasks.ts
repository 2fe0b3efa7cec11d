/**
 * Reading tasks, with the leases that their rows have or without.
 *
 * @module
 */

import type { AgentTask } from "../../task/task.ts";
import type { Held } from "../../task/transitions.ts";
import type { Connection, SqlValue } from "./connection.ts";
import {
  HELD_ROW,
  type HeldRow,
  leaseOf,
  TASK_ROW,
  taskOf,
  type TaskRow,
} from "./rows.ts";

/** The tasks that the rest of a SELECT finds, in its order. */
export async function readTasks(
  connection: Connection,
  rest: string,
  values: readonly SqlValue[],
): Promise<AgentTask[]> {
  // row_number() carries the order of `rest` into the list.
  const rows = await connection.json<TaskRow[]>(
    `SELECT to_json(list(row ORDER BY position)) FROM (
       SELECT row_number() OVER () AS position, row FROM (
         SELECT ${TASK_ROW} AS row FROM agent_tasks ${rest}))`,
    values,
  ) ?? [];
  return rows.map(taskOf);
}

/** The tasks that there are, by their ids. */
export async function readHeld(
  connection: Connection,
  ids: readonly string[],
): Promise<Map<string, Held>> {
  const rows = await connection.json<HeldRow[]>(
    `SELECT to_json(list(${HELD_ROW})) FROM agent_tasks
     WHERE id IN (SELECT unnest($1::JSON::UUID[]))`,
    [JSON.stringify(ids)],
  ) ?? [];
  return new Map(rows.map((row) => {
    const held = { task: taskOf(row), lease: leaseOf(row) };
    return [held.task.id, held];
  }));
}
