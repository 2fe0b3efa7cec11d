/**
 * Adding tasks in sets.
 *
 * @module
 */

import { DuplicateIdError } from "../../base/errors.ts";
import type { NewTasks } from "../contract.ts";
import { type Beside, createIn, type CreateStore } from "../create.ts";
import { IdList } from "../id_list.ts";
import { COLUMNS, type NewRow } from "../new_rows.ts";
import type { Connection } from "./connection.ts";
import { type Database, LONG_MS } from "./database.ts";
import { addNewDependencies, settlingOf } from "./dependencies.ts";
import { codeOf } from "./explain.ts";
import { editStoreOf } from "./edits.ts";
import { findKeyHolders, MOST_LOCKED } from "./keys.ts";
import { jsonOf, retriedBy } from "./rows.ts";

/**
 * Adds tasks in one transaction, and returns their ids in the same order.
 *
 * @throws {DuplicateIdError} where there is a task with one of the ids already.
 * @throws {DependencyError} where what one is to wait for is not there, or in a circle.
 */
export async function createTasks(
  database: Database,
  incoming: NewTasks,
  { before, after }: Beside<Connection> = {},
): Promise<IdList> {
  if (incoming.count === 0) return new IdList();
  const isMany = incoming.count > MOST_LOCKED;
  try {
    return await database.transaction(async (connection, at) => {
      await before?.(connection, at);
      return await createIn(storeOf(connection, { at, isMany }), incoming, {
        after: () => after?.(connection, at),
      });
    }, { wakes: "tasks", timeoutMs: LONG_MS });
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    const { detail } = (cause ?? {}) as { detail?: string };
    const [, id] = codeOf(cause) === "23505"
      ? /\(id\)=\(([-0-9a-f]{36})\)/.exec(detail ?? "") ?? []
      : [];
    if (!id) throw error;
    throw new DuplicateIdError(id, { cause: error });
  }
}

function storeOf(
  connection: Connection,
  { at, isMany }: { readonly at: Date; readonly isMany: boolean },
): CreateStore {
  return {
    edits: editStoreOf(connection, at),
    findKeyHolders: (keys) => findKeyHolders(connection, keys, { at, isMany }),
    insert: (rows) => insert(connection, rows, at),
    addDependencies: (added) => addNewDependencies(connection, added),
    settlingOf: (ids) => settlingOf(connection, ids),
  };
}

const NAMES = Object.keys(COLUMNS).join(", ");
const TYPES = Object.entries(COLUMNS).map((it) => it.join(" ")).join(", ");

async function insert(
  connection: Connection,
  rows: readonly NewRow[],
  at: Date,
): Promise<void> {
  await connection.run(
    `INSERT INTO agent_tasks
       (status, created_at, updated_at, id, retry_of, ${NAMES})
     SELECT 'created', $2, $2, id, retry_of, ${NAMES}
     FROM json_to_recordset($1::json) AS r (id uuid, retry_of uuid, ${TYPES})`,
    [
      jsonOf(
        rows.map((row) => ({ ...row, retry_of: retriedBy(row.last_update) })),
      ),
      at,
    ],
  );
}
