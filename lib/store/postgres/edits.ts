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
import { jsonOf, retriedBy, RUN_ORDER } from "./rows.ts";
import { changing, readHeld, settleStoreOf, writeEvents } from "./write.ts";

const LAST_FIRST = "priority, created_at DESC, seq DESC";

/** Edits in the transaction that is open on the connection. */
export function editStoreOf(connection: Connection, at: Date): EditStore {
  return {
    at,
    left: new Set(),
    held: (ids) => readHeld(connection, ids),
    end: (provider, { to, limit }) =>
      connection.rows(
        `SELECT id, priority FROM agent_tasks
         WHERE provider = $1 AND status = 'created'
         ORDER BY ${to === "first" ? RUN_ORDER : LAST_FIRST} LIMIT $2`,
        [provider, limit],
      ),
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
  const names = [...new Set(edits.flatMap(({ columns }) => columns))];
  const types = names.map((name) => `, ${name} ${COLUMNS[name]}`).join("");
  const set = names.map((name) => `, ${name} = o.${name}`).join("");
  const hasTrace = names.includes("last_update");
  const rows = edits.map(({ row }) => ({
    id: row.id,
    retry_of: hasTrace ? retriedBy(row.last_update) : null,
    ...Object.fromEntries(names.map((name) => [name, row[name]])),
  }));
  await changing(edits.map(({ event }) => event.id), () =>
    connection.run(
      `UPDATE agent_tasks t SET updated_at = $2${set}
         ${hasTrace ? ", retry_of = o.retry_of" : ""}
       FROM json_to_recordset($1::json) AS o (id uuid, retry_of uuid${types})
       WHERE t.id = o.id`,
      [jsonOf(rows), at],
    ));
  await writeEvents(connection, edits.map(({ event }) => event), at);
}
