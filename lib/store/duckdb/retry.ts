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
  readDependencies,
  settlingOf,
} from "./dependencies.ts";
import { findKeyHolders } from "./keys.ts";
import { requestStoreOf } from "./requests.ts";
import { inTrace, MAY_BE_RETRY, NEVER_RETRIED, RETRIED_ID } from "./retried.ts";
import { settleStoreOf } from "./write.ts";

/** Most traces have no branch, and are not read. */
const CARRIED = CARRIED_KEYS.map((key) =>
  `${key}: CASE WHEN contains(last_update, '"${WORKSPACE_KEY}"')
     THEN ${inTrace(key)} END`
).join(", ");

/** Retries in the transaction that is open on the connection. */
export function retryStoreOf(connection: Connection, at: Date): RetryStore {
  return {
    requests: requestStoreOf(connection, at),
    settling: settleStoreOf(connection, at),
    find: async (ids) =>
      await connection.json<FoundRow[]>(
        `SELECT to_json(list({id: id, way: ${WAY}, attempt: coalesce(attempt, 0),
           key: key, waits: if_failed IS NOT NULL, ${CARRIED},
           updatedMs: coalesce(epoch_ms(updated_at), 0)}))
         FROM agent_tasks WHERE id IN (SELECT unnest($2::JSON::UUID[]))`,
        [at, JSON.stringify(ids)],
      ) ?? [],
    findKeyHolders: (keys) => findKeyHolders(connection, keys, at),
    retriesOf: (tasks) => readRetries(connection, tasks),
    insert: (rows) =>
      connection.run(
        `INSERT INTO agent_tasks
           (id, status, last_update, created_at, updated_at, attempt, blocked,
            ${COPIED})
         SELECT new_id, 'created', trace, $2::TIMESTAMPTZ, $2::TIMESTAMPTZ, 0,
           if_failed IS NOT NULL, ${COPIED}
         FROM (SELECT unnest(from_json($1, '[{"position": "INTEGER",
             "old_id": "UUID", "new_id": "UUID", "trace": "VARCHAR"}]'),
           recursive := true))
         JOIN agent_tasks ON id = old_id ORDER BY position`,
        [JSON.stringify(rows), at],
      ),
    makeDue: (ids) =>
      connection.run(
        `UPDATE agent_tasks SET run_at = NULL, updated_at = $2::TIMESTAMPTZ
         WHERE id IN (SELECT unnest($1::JSON::UUID[]))`,
        [JSON.stringify(ids), at],
      ),
    dependenciesOf: (ids) => readDependencies(connection, ids),
    addDependencies: (dependencies) =>
      addDependencies(connection, dependencies),
    settlingOf: (ids) => settlingOf(connection, ids),
  };
}

async function readRetries(
  connection: Connection,
  tasks: readonly Pick<FoundRow, "id" | "updatedMs">[],
): Promise<ReadonlyMap<string, string>> {
  if (tasks.length === 0) return new Map();
  // A retry is younger than what it repeats: DuckDB skips what is older.
  const since = Math.min(...tasks.map(({ updatedMs = 0 }) => updatedMs));
  const pairs = await connection.json<[string, string][]>(
    `SELECT to_json(list([of_id, id])) FROM (
       SELECT ${RETRIED_ID} AS of_id, arg_max(id, created_at) AS id
       FROM agent_tasks
       WHERE created_at >= $1::TIMESTAMPTZ AND ${MAY_BE_RETRY} GROUP BY of_id)
     WHERE of_id IN (SELECT unnest($2::JSON::UUID[]))`,
    [new Date(since), JSON.stringify(tasks.map(({ id }) => id))],
  ) ?? [];
  return new Map(pairs);
}

/** The tasks that ended because of these, and those behind them. */
export async function findDependents(
  connection: Connection,
  ids: readonly string[],
): Promise<string[]> {
  // All at once: a query for each level takes seconds where a line is long.
  const pairs = await connection.json<[id: string, after: string][]>(
    `SELECT to_json(list([task_id::TEXT, after_id::TEXT]))
     FROM agent_task_dependencies JOIN agent_tasks t ON t.id = task_id
     WHERE status = 'failed' AND contains(last_update, '"${WAITED_FOR_KEY}"')
       AND TRY(json_extract_string(last_update, '$.${WAITED_FOR_KEY}'))
         = after_id::TEXT`,
  ) ?? [];
  const behind = Map.groupBy(pairs, ([, after]) => after);
  const known = new Set(ids.map((id) => id.toLowerCase()));
  for (const id of known) {
    // What is added while it goes on has its turn too.
    for (const [other] of behind.get(id) ?? []) known.add(other);
  }
  for (const id of ids) known.delete(id.toLowerCase());
  if (known.size === 0) return [];
  return await connection.json<string[]>(
    `SELECT to_json(list(id ORDER BY created_at, rowid)) FROM agent_tasks
     WHERE id IN (SELECT unnest($1::JSON::UUID[])) AND (${NEVER_RETRIED})`,
    [JSON.stringify([...known])],
  ) ?? [];
}
