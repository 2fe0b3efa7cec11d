/**
 * Reading tasks with the leases that their rows have.
 *
 * @module
 */

import type { Held } from "../transitions.ts";
import type { Connection } from "./connection.ts";
import { HELD_ROW, type HeldRow, leaseOf, taskOf } from "./rows.ts";

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
