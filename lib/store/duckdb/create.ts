/**
 * Adding tasks in sets.
 *
 * @module
 */

import { DuplicateIdError, messageOf } from "../../base/errors.ts";
import type { WrittenEvent } from "../changes.ts";
import type { NewTasks } from "../contract.ts";
import { NewDependencies } from "../dependencies.ts";
import { replaceTasks } from "../edit_tasks.ts";
import { IdList } from "../id_list.ts";
import { Keys } from "../keys.ts";
import { lengthOf, type NewRow, oneAhead } from "../new_rows.ts";
import { fittingSets } from "../sets.ts";
import { settle } from "../settle.ts";
import { type Connection, USE_MORE_MEMORY } from "./connection.ts";
import type { Database } from "./database.ts";
import { addNewDependencies, settlingOf } from "./dependencies.ts";
import { editStoreOf } from "./edits.ts";
import { findKeyHolders } from "./keys.ts";
import { COLUMNS } from "./new_columns.ts";
import { Values } from "./values.ts";
import { settleStoreOf, writeEvents } from "./write.ts";

/**
 * In characters. DuckDB has it in memory until the commit, and needs as much again
 * for that: where it has too little then, nobody knows what it has committed.
 */
const MUCH_TEXT = 50_000_000;

/** What else is done in the transaction of a creation. */
export interface Beside {
  /** Where it throws, nothing is added. */
  readonly before?: (connection: Connection, at: Date) => Promise<void>;
  /** What ends tasks: a batch that gets another one has not ended. */
  readonly after?: (connection: Connection, at: Date) => Promise<void>;
}

/**
 * Adds tasks in one transaction, and returns their ids in the same order.
 *
 * @throws {DuplicateIdError} where there is a task with one of the ids already.
 * @throws {DependencyError} where what one is to wait for is not there, or in a circle.
 */
export async function createTasks(
  database: Database,
  incoming: NewTasks,
  { before, after }: Beside = {},
): Promise<IdList> {
  if (incoming.count === 0) return new IdList();
  try {
    return await database.transaction(async (connection) => {
      const at = database.now();
      await before?.(connection, at);
      const edits = editStoreOf(connection, at);
      const ids = new IdList();
      const dependencies = new NewDependencies();
      const keys = new Keys();
      let length = 0;
      for await (const tasks of oneAhead(incoming.sets())) {
        const { rows, ...sorted } = await keys.sort(tasks, {
          find: (keys) => findKeyHolders(connection, keys, at),
          replace: (tasks) => replaceTasks(edits, tasks),
        });
        for (const set of fittingSets(rows, lengthOf)) {
          await insert(connection, set, at);
        }
        dependencies.add(tasks, sorted);
        ids.add(sorted.ids, sorted.known);
        const before = length;
        for (const row of rows) length += lengthOf(row);
        if (before <= MUCH_TEXT && length > MUCH_TEXT) {
          await connection.run(USE_MORE_MEMORY);
        }
      }
      await after?.(connection, at);
      const { waiting } = dependencies;
      if (waiting.length > 0) {
        await addNewDependencies(connection, dependencies);
        await settle(
          settleStoreOf(connection, at),
          await settlingOf(connection, waiting),
        );
      }
      await edits.tellLeft();
      return ids;
    });
  } catch (error) {
    const [, id] = /duplicate key "(?:id: )?([-0-9a-f]{36})"/i.exec(
      messageOf(error),
    ) ?? [];
    if (!id) throw error;
    throw new DuplicateIdError(id, { cause: error });
  }
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
  const events = ids.map((id): WrittenEvent => (
    { id, kind: "created", attempt: 0 }
  ));
  await writeEvents(connection, events, at);
}
