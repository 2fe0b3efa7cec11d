/**
 * Adding tasks in sets.
 *
 * @module
 */

import { DuplicateIdError } from "../../base/errors.ts";
import type { WrittenEvent } from "../changes.ts";
import type { NewTasks } from "../contract.ts";
import { NewDependencies } from "../dependencies.ts";
import { replaceTasks } from "../edit_tasks.ts";
import { IdList } from "../id_list.ts";
import { Keys } from "../keys.ts";
import { lengthOf, type NewRow, oneAhead } from "../new_rows.ts";
import { fittingSets } from "../sets.ts";
import { settle } from "../settle.ts";
import type { Connection } from "./connection.ts";
import { type Database, LONG_MS } from "./database.ts";
import { addNewDependencies, settlingOf } from "./dependencies.ts";
import { codeOf } from "./explain.ts";
import { editStoreOf } from "./edits.ts";
import { COLUMNS, retriedBy } from "./new_columns.ts";
import { findKeyHolders, MOST_LOCKED } from "./keys.ts";
import { jsonOf } from "./rows.ts";
import { settleStoreOf, writeEvents } from "./write.ts";

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
    return await database.transaction(async (connection, at) => {
      await before?.(connection, at);
      const edits = editStoreOf(connection, at);
      const ids = new IdList();
      const dependencies = new NewDependencies();
      const keys = new Keys();
      const isMany = incoming.count > MOST_LOCKED;
      for await (const tasks of oneAhead(incoming.sets())) {
        const { rows, ...sorted } = await keys.sort(tasks, {
          find: (keys) => findKeyHolders(connection, keys, { at, isMany }),
          replace: (tasks) => replaceTasks(edits, tasks),
        });
        for (const set of fittingSets(rows, lengthOf)) {
          await insert(connection, set, at);
        }
        dependencies.add(tasks, sorted);
        ids.add(sorted.ids, sorted.known);
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

const NAMES = Object.keys(COLUMNS).join(", ");
const TYPES = Object.entries(COLUMNS).map((it) => it.join(" ")).join(", ");

async function insert(
  connection: Connection,
  rows: readonly NewRow[],
  at: Date,
): Promise<void> {
  const ids = rows.map(({ id }) => id);
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
  const events = ids.map((id): WrittenEvent => (
    { id, kind: "created", attempt: 0 }
  ));
  await writeEvents(connection, events, at);
}
