/**
 * Adding tasks in sets.
 *
 * @module
 */

import { DuplicateIdError } from "../../base/errors.ts";
import { parseTrace } from "../../task/trace.ts";
import type { WrittenEvent } from "../changes.ts";
import type { NewTasks } from "../contract.ts";
import { NewDependencies } from "../dependencies.ts";
import { IdList } from "../id_list.ts";
import { lengthOf, type NewRow, newRowOf, oneAhead } from "../new_rows.ts";
import { fittingSets } from "../sets.ts";
import type { Connection } from "./connection.ts";
import { type Database, LONG_MS } from "./database.ts";
import { addNewDependencies, settlingOf } from "./dependencies.ts";
import { codeOf } from "./explain.ts";
import { jsonOf } from "./rows.ts";
import { settle, writeEvents } from "./write.ts";

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
    return await database.transaction(async (connection, at) => {
      await before(connection, at);
      const ids = new IdList();
      const dependencies = new NewDependencies();
      for await (const tasks of oneAhead(incoming.sets())) {
        const rows = tasks.map(newRowOf);
        dependencies.add(tasks, rows);
        for (const set of fittingSets(rows, lengthOf)) {
          ids.add(await insert(connection, set, at));
        }
      }
      const { waiting } = dependencies;
      if (waiting.length > 0) {
        await addNewDependencies(connection, dependencies);
        await settle(connection, await settlingOf(connection, waiting), at);
      }
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

/** What a task's row is made of beside its id. */
const COLUMNS: Readonly<Record<Exclude<keyof NewRow, "id">, string>> = {
  user_id: "uuid",
  provider: "text",
  repo_full_name: "text",
  issue_number: "integer",
  pr_number: "integer",
  instruction: "text",
  last_update: "text",
  priority: "integer",
  run_at: "timestamptz",
  max_attempts: "integer",
  timeout_ms: "bigint",
  batch: "text",
  key: "text",
  tags: "text",
  if_failed: "text",
  blocked: "boolean",
};

const NAMES = Object.keys(COLUMNS).join(", ");
const TYPES = Object.entries(COLUMNS).map((it) => it.join(" ")).join(", ");

async function insert(
  connection: Connection,
  rows: readonly NewRow[],
  at: Date,
): Promise<string[]> {
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
  return ids;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The id of the task that it repeats, as its trace names it. */
export function retriedBy(trace: string | null): string | null {
  if (!trace?.includes('"retry_of"')) return null;
  const id = parseTrace(trace)?.retry_of;
  return typeof id === "string" && UUID.test(id) ? id : null;
}
