/**
 * Changing tasks that have not begun.
 *
 * @module
 */

import type { EditStore } from "../edit_tasks.ts";
import type { Edit } from "../edits.ts";
import { COLUMNS } from "../new_rows.ts";
import { lastEnded } from "./batches.ts";
import type { Connection } from "./connection.ts";
import { RUN_ORDER } from "./rows.ts";
import { type Column, Values } from "./values.ts";
import { changeRows, readHeld, settleStoreOf, writeEvents } from "./write.ts";

const LAST_FIRST = "coalesce(priority, 0), created_at DESC, rowid DESC";

/** Edits in the transaction that is open on the connection. */
export function editStoreOf(connection: Connection, at: Date): EditStore {
  return {
    at,
    left: new Set(),
    held: (ids) => readHeld(connection, ids),
    end: async (provider, { to, limit }) => {
      const order = to === "first" ? RUN_ORDER : LAST_FIRST;
      return await connection.json(
        `SELECT to_json(list({id: id, priority: coalesce(priority, 0)}
           ORDER BY ${order}))
         FROM (SELECT *, rowid FROM agent_tasks
           WHERE provider = $1 AND status = 'created'
           ORDER BY ${order} LIMIT $2)`,
        [provider, limit],
      ) ?? [];
    },
    write: (edits) => writeEdits(connection, edits, at),
    lastEnded: (names) => lastEnded(connection, names),
    settling: settleStoreOf(connection, at),
  };
}

async function writeEdits(
  connection: Connection,
  edits: readonly Edit[],
  at: Date,
): Promise<void> {
  const values = new Values();
  const ids = edits.map(({ event }) => event.id);
  const columns: Record<string, Column> = {};
  const set = [`updated_at = ${values.time(at)}`];
  for (const name of new Set(edits.flatMap(({ columns }) => columns))) {
    const type = COLUMNS[name];
    columns[name] = { type, values: edits.map(({ row }) => row[name]) };
    set.push(`${name} = o.${name}`);
  }
  const sql = `UPDATE agent_tasks t SET ${set.join(", ")}
    FROM (SELECT ${values.rows(ids, columns)}) o WHERE t.id = o.id`;
  await changeRows(connection, ids, { sql, values });
  await writeEvents(connection, edits.map(({ event }) => event), at);
}
