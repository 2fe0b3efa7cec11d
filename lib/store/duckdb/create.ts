/**
 * Adding tasks in sets.
 *
 * @module
 */

import { DuplicateIdError, messageOf } from "../../base/errors.ts";
import type { WrittenEvent } from "../changes.ts";
import type { NewTasks } from "../contract.ts";
import { NewDependencies } from "../dependencies.ts";
import { IdList } from "../id_list.ts";
import { lengthOf, type NewRow, newRowOf, oneAhead } from "../new_rows.ts";
import { fittingSets } from "../sets.ts";
import { type Connection, USE_MORE_MEMORY } from "./connection.ts";
import type { Database } from "./database.ts";
import { addNewDependencies, settlingOf } from "./dependencies.ts";
import { Values } from "./values.ts";
import { settle, writeEvents } from "./write.ts";

/**
 * In characters. DuckDB has it in memory until the commit, and needs as much again
 * for that: where it has too little then, nobody knows what it has committed.
 */
const MUCH_TEXT = 50_000_000;

/**
 * Adds tasks in one transaction, and returns their ids in the same order.
 *
 * @param before Done in it first; where that throws, nothing is added
 * @throws {DuplicateIdError} where there is a task with one of the ids already.
 * @throws {DependencyError} where what one is to wait for is not there, or in a circle.
 */
export async function createTasks(
  database: Database,
  incoming: NewTasks,
  before: (connection: Connection, at: Date) => Promise<void> = async () => {},
): Promise<IdList> {
  if (incoming.count === 0) return new IdList();
  try {
    return await database.transaction(async (connection) => {
      const at = database.now();
      await before(connection, at);
      const ids = new IdList();
      const dependencies = new NewDependencies();
      let length = 0;
      for await (const tasks of oneAhead(incoming.sets())) {
        const rows = tasks.map(newRowOf);
        dependencies.add(tasks, rows);
        for (const set of fittingSets(rows, lengthOf)) {
          ids.add(await insert(connection, set, at));
        }
        const before = length;
        for (const row of rows) length += lengthOf(row);
        if (before <= MUCH_TEXT && length > MUCH_TEXT) {
          await connection.run(USE_MORE_MEMORY);
        }
      }
      const { waiting } = dependencies;
      if (waiting.length > 0) {
        await addNewDependencies(connection, dependencies);
        await settle(connection, await settlingOf(connection, waiting), at);
      }
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

/** DuckDB's types of what a task's row is made of beside its id. */
const COLUMNS: Readonly<Record<Exclude<keyof NewRow, "id">, string>> = {
  user_id: "UUID",
  provider: "TEXT",
  repo_full_name: "TEXT",
  issue_number: "INTEGER",
  pr_number: "INTEGER",
  instruction: "TEXT",
  last_update: "TEXT",
  priority: "INTEGER",
  run_at: "TIMESTAMPTZ",
  max_attempts: "INTEGER",
  timeout_ms: "BIGINT",
  batch: "TEXT",
  key: "TEXT",
  tags: "TEXT",
  if_failed: "TEXT",
  blocked: "BOOLEAN",
};

const NAMES = Object.keys(COLUMNS) as (keyof typeof COLUMNS)[];

/** A temporary table of a set would keep its memory until the transaction ends. */
async function insert(
  connection: Connection,
  rows: readonly NewRow[],
  at: Date,
): Promise<string[]> {
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
  return ids;
}
