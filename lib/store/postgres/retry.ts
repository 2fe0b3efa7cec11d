/**
 * Running tasks again, in sets.
 *
 * @module
 */

import { WAITED_FOR_KEY } from "../../task/transitions.ts";
import { WORKSPACE_KEY } from "../../task/workspace.ts";
import { CARRIED_KEYS } from "../retried_trace.ts";
import { COPIED, type FoundRow, type RetryStore, WAY } from "../retry.ts";
import type { Connection } from "./connection.ts";
import {
  addDependencies,
  lock,
  readDependencies,
  settlingOf,
} from "./dependencies.ts";
import { findKeyHolders, MOST_LOCKED } from "./keys.ts";
import { requestStoreOf } from "./requests.ts";
import { jsonOf, uuids, WAS_RETRIED } from "./rows.ts";
import { changing, settleStoreOf } from "./write.ts";

/** Holds for a task that has ended and that no other repeats. */
export const NEVER_RETRIED = `
  status IN ('completed', 'failed') AND NOT ${WAS_RETRIED}`;

/** Most traces have no branch, and are not read. */
const CARRIED = CARRIED_KEYS.map((key) =>
  `CASE WHEN strpos(last_update, '"${WORKSPACE_KEY}"') > 0
     THEN trace_value(last_update, '${key}') END AS ${key}`
).join(", ");

/** Retries in the transaction that is open on the connection. */
export function retryStoreOf(connection: Connection, at: Date): RetryStore {
  return {
    requests: requestStoreOf(connection, at),
    settling: settleStoreOf(connection, at),
    find: (ids) =>
      connection.rows<FoundRow>(
        `SELECT id, ${WAY} AS way, attempt, key,
           if_failed IS NOT NULL AS waits, ${CARRIED} FROM agent_tasks
         WHERE id = ANY ($2::uuid[]) ORDER BY id FOR UPDATE`,
        [at, uuids(ids)],
      ),
    findKeyHolders: (keys) =>
      findKeyHolders(connection, keys, {
        at,
        isMany: keys.length > MOST_LOCKED,
      }),
    retriesOf: async (tasks) => {
      const rows = await connection.rows<{ of: string; id: string }>(
        `SELECT DISTINCT ON (retry_of) retry_of AS of, id FROM agent_tasks
         WHERE retry_of = ANY ($1::uuid[])
         ORDER BY retry_of, created_at DESC, seq DESC`,
        [uuids(tasks.map(({ id }) => id))],
      );
      return new Map(rows.map(({ of, id }) => [of, id]));
    },
    insert: (rows) =>
      connection.run(
        `INSERT INTO agent_tasks
           (id, retry_of, status, last_update, created_at, updated_at, blocked,
            ${COPIED})
         SELECT new_id, id, 'created', trace, $2, $2,
           if_failed IS NOT NULL, ${COPIED}
         FROM json_to_recordset($1::json)
           AS a (position integer, old_id uuid, new_id uuid, trace text)
         JOIN agent_tasks ON id = old_id ORDER BY position`,
        [jsonOf(rows), at],
      ),
    makeDue: (ids) =>
      changing(ids, () =>
        connection.run(
          `UPDATE agent_tasks SET run_at = NULL, updated_at = $2
           WHERE id = ANY ($1::uuid[])`,
          [uuids(ids), at],
        )),
    dependenciesOf: (ids) => readDependencies(connection, ids),
    addDependencies: async (dependencies) => {
      await lock(connection, dependencies.map(({ afterId }) => afterId));
      await addDependencies(connection, dependencies);
    },
    settlingOf: (ids) => settlingOf(connection, ids),
  };
}

/** The tasks that ended because of these, and those behind them. */
export async function findDependents(
  connection: Connection,
  ids: readonly string[],
): Promise<string[]> {
  const known = new Set(ids);
  for (let level = ids; level.length > 0;) {
    const found = await connection.rows<{ id: string }>(
      `SELECT id FROM agent_tasks
       WHERE status = 'failed' AND id IN (SELECT task_id
           FROM agent_task_dependencies WHERE after_id = ANY ($1::uuid[]))
         AND trace_value(last_update, '${WAITED_FOR_KEY}') = ANY ($1::text[])
       ORDER BY created_at, seq`,
      [uuids(level)],
    );
    level = found.map(({ id }) => id).filter((id) => !known.has(id));
    for (const id of level) known.add(id);
  }
  for (const id of ids) known.delete(id);
  const rows = await connection.rows<{ id: string }>(
    `SELECT id FROM agent_tasks
     WHERE id = ANY ($1::uuid[]) AND (${NEVER_RETRIED})
     ORDER BY created_at, seq`,
    [uuids([...known])],
  );
  return rows.map(({ id }) => id);
}
