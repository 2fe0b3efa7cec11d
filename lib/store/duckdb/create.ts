/**
 * Adding tasks in sets.
 *
 * @module
 */

import { DuplicateIdError, messageOf } from "../../base/errors.ts";
import type { NewTasks } from "../contract.ts";
import { type Beside, createIn, type CreateStore } from "../create.ts";
import { IdList } from "../id_list.ts";
import { COLUMNS, lengthOf, type NewRow } from "../new_rows.ts";
import { type Connection, USE_MORE_MEMORY } from "./connection.ts";
import type { Database } from "./database.ts";
import { addNewDependencies, settlingOf } from "./dependencies.ts";
import { editStoreOf } from "./edits.ts";
import { findKeyHolders } from "./keys.ts";
import { Values } from "./values.ts";

/**
 * In characters. DuckDB has it in memory until the commit, and needs as much again
 * for that: where it has too little then, nobody knows what it has committed.
 */
const MUCH_TEXT = 50_000_000;

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
  try {
    return await database.transaction(async (connection, at) => {
      await before?.(connection, at);
      return await createIn(storeOf(connection, at), incoming, {
        after: () => after?.(connection, at),
      });
    });
  } catch (error) {
    const [, id] = /duplicate key "(?:id: )?([-0-9a-f]{36})"/i.exec(
      messageOf(error),
    ) ?? [];
    if (!id) throw error;
    throw new DuplicateIdError(id, { cause: error });
  }
}

function storeOf(connection: Connection, at: Date): CreateStore {
  let length = 0;
  return {
    edits: editStoreOf(connection, at),
    findKeyHolders: (keys) => findKeyHolders(connection, keys, at),
    insert: async (rows) => {
      await insert(connection, rows, at);
      const before = length;
      for (const row of rows) length += lengthOf(row);
      if (before <= MUCH_TEXT && length > MUCH_TEXT) {
        await connection.run(USE_MORE_MEMORY);
      }
    },
    addDependencies: (added) => addNewDependencies(connection, added),
    settlingOf: (ids) => settlingOf(connection, ids),
  };
}

const NAMES = Object.keys(COLUMNS) as (keyof typeof COLUMNS)[];

/** A temporary table of a set would keep its memory until the transaction ends. */
async function insert(
  connection: Connection,
  rows: readonly NewRow[],
  at: Date,
): Promise<void> {
  const ids = rows.map(({ id }) => id);
  const columns = Object.fromEntries(
    NAMES.map((name) => [
      name,
      { type: COLUMNS[name], values: rows.map((row) => row[name]) },
    ]),
  );
  const values = new Values();
  const time = values.time(at);
  await connection.run(
    `INSERT INTO agent_tasks
       (status, attempt, created_at, updated_at, id, ${NAMES.join(", ")})
     SELECT 'created', 0, ${time}, ${time}, *
     FROM (SELECT ${values.rows(ids, columns)})`,
    values.list,
  );
}
