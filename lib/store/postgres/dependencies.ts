/**
 * What waits for other tasks in a PostgreSQL database: written with new tasks, and
 * read with every write that ends some.
 *
 * Two transactions may end the last two that a task waits for at once, or one end
 * what another creates a task behind. So who ends a task writes its row first, then
 * locks the rows of those behind, and looks, by another statement, at what they wait
 * for only then; and who creates a task locks what it waits for before looking.
 *
 * @module
 */

import { inSets } from "../contract.ts";
import {
  type Behind,
  type Dependency,
  type Endings,
  endingsBehind,
  type Failure,
  type NewDependencies,
  NOTHING_SETTLED,
  type Settling,
} from "../dependencies.ts";
import type { Connection } from "./connection.ts";
import { ERROR, jsonOf, STATE_PART, uuids } from "./rows.ts";

const SET_SIZE = 10_000;

/** Holds for a task `w` that waits for another. */
const IS_BLOCKED = "w.blocked AND w.status = 'created'";

/**
 * Writes what new tasks wait for, in the transaction that is open on the connection.
 *
 * @throws {DependencyError} where a task is not there, or they wait in a circle.
 */
export async function addNewDependencies(
  connection: Connection,
  added: NewDependencies,
): Promise<void> {
  const { named } = added;
  const keys = await inSets(
    named.keys,
    SET_SIZE,
    (set) =>
      connection.rows<{ key: string; id: string }>(
        `SELECT DISTINCT ON (key) key, id FROM agent_tasks
         WHERE key IN (SELECT json_array_elements_text($1::json))
         ORDER BY key, created_at DESC, seq DESC`,
        [jsonOf(set)],
      ),
  );
  const found = new Map(keys.map(({ key, id }) => [key, id]));
  const all = new Set([...named.ids, ...found.values()]);
  const locked = new Set(await lock(connection, [...all]));
  const dependencies = added.resolve({
    ids: locked,
    keys: new Map([...found].filter(([, id]) => locked.has(id))),
  });
  await addDependencies(connection, dependencies);
}

/** Nobody ends or deletes these until the transaction ends. Returns those there are. */
export async function lock(
  connection: Connection,
  ids: readonly string[],
): Promise<string[]> {
  const rows = await inSets(
    [...ids].sort(),
    SET_SIZE,
    (set) =>
      connection.rows<{ id: string }>(
        `SELECT id FROM agent_tasks WHERE id = ANY ($1::uuid[])
       ORDER BY id FOR SHARE`,
        [uuids(set)],
      ),
  );
  return rows.map(({ id }) => id);
}

/** Writes what waits for what. */
export async function addDependencies(
  connection: Connection,
  dependencies: readonly Dependency[],
): Promise<void> {
  for (let start = 0; start < dependencies.length; start += SET_SIZE) {
    const set = dependencies.slice(start, start + SET_SIZE);
    await connection.run(
      `INSERT INTO agent_task_dependencies (task_id, after_id, position)
       SELECT "taskId", "afterId", position FROM json_to_recordset($1::json)
         AS d ("taskId" uuid, "afterId" uuid, position integer)`,
      [jsonOf(set)],
    );
  }
}

/** What these tasks wait for, or waited for, in the order that was given. */
export function readDependencies(
  connection: Connection,
  ids: readonly string[],
): Promise<Dependency[]> {
  return connection.rows<Dependency>(
    `SELECT task_id AS "taskId", after_id AS "afterId", position
     FROM agent_task_dependencies WHERE task_id = ANY ($1::uuid[])
     ORDER BY task_id, position`,
    [uuids(ids)],
  );
}

/** What is to be written of these tasks, which are new and wait. */
export async function settlingOf(
  connection: Connection,
  ids: readonly string[],
): Promise<Settling> {
  const first = await inSets(ids, SET_SIZE, (set) =>
    connection.rows<Behind>(
      `SELECT d.task_id AS id, w.if_failed AS "ifFailed", d.after_id AS "afterId"
       FROM agent_task_dependencies d JOIN agent_tasks w ON w.id = d.task_id
       JOIN agent_tasks a ON a.id = d.after_id AND a.status = 'failed'
       WHERE d.task_id = ANY ($1::uuid[]) AND w.if_failed <> 'run'
       ORDER BY d.task_id, d.position`,
      [uuids(set)],
    ));
  return await findSettling(connection, ids, first);
}

/**
 * What is to be written of those behind tasks that have ended. For who has no
 * dependencies, it looks into an empty index.
 */
export async function settlingBehind(
  connection: Connection,
  ended: readonly string[],
): Promise<Settling> {
  if (ended.length === 0) return NOTHING_SETTLED;
  const behind = await findBehind(connection, ended);
  if (behind.length === 0) return NOTHING_SETTLED;
  const ids = [...new Set(behind.map(({ id }) => id))];
  return await findSettling(connection, ids, behind);
}

/** Nobody else settles these until the transaction ends. */
async function findBehind(
  connection: Connection,
  ids: readonly string[],
): Promise<Behind[]> {
  return await inSets(ids, SET_SIZE, (set) =>
    connection.rows<Behind>(
      `SELECT w.id, w.if_failed AS "ifFailed", d.after_id AS "afterId"
       FROM agent_task_dependencies d JOIN agent_tasks w ON w.id = d.task_id
       WHERE d.after_id = ANY ($1::uuid[]) AND ${IS_BLOCKED}
       ORDER BY w.id, d.position FOR UPDATE OF w`,
      [uuids(set)],
    ));
}

/** The same of those behind them too, however far. */
async function findAllBehind(
  connection: Connection,
  ids: readonly string[],
): Promise<Behind[]> {
  const rows = await connection.rows<{ id: string }>(
    `WITH RECURSIVE behind AS (
       SELECT id FROM unnest($1::uuid[]) AS id
       UNION
       SELECT d.task_id FROM behind
       JOIN agent_task_dependencies d ON d.after_id = behind.id
       JOIN agent_tasks w ON w.id = d.task_id
       WHERE ${IS_BLOCKED} AND w.if_failed <> 'run')
     SELECT id FROM behind`,
    [uuids(ids)],
  );
  return await findBehind(connection, rows.map(({ id }) => id));
}

/**
 * @param ids the tasks that are looked at
 * @param behind which of those wait for which that may have failed
 */
async function findSettling(
  connection: Connection,
  ids: readonly string[],
  behind: readonly Behind[],
): Promise<Settling> {
  const endings = await findEndings(connection, behind);
  const others = ids.filter((id) => !endings.has(id));
  const free = await inSets(
    others,
    SET_SIZE,
    (set) =>
      connection.rows<{ id: string }>(
        `SELECT w.id FROM agent_tasks w
       WHERE w.id = ANY ($1::uuid[]) AND ${IS_BLOCKED} AND NOT EXISTS (
         SELECT FROM agent_task_dependencies d
         JOIN agent_tasks a ON a.id = d.after_id
         WHERE d.task_id = w.id AND a.status NOT IN ('completed', 'failed'))`,
        [uuids(set)],
      ),
  );
  return { endings, free: free.map(({ id }) => id) };
}

/** How tasks end that wait for one that failed, and all behind them. */
async function findEndings(
  connection: Connection,
  behind: readonly Behind[],
): Promise<Endings> {
  const after = [...new Set(behind.map(({ afterId }) => afterId))];
  const failures = await inSets(
    after,
    SET_SIZE,
    (set) =>
      connection.rows<Failure>(
        `SELECT id, ${ERROR} AS error, ${STATE_PART.skipped} AS "isSkipped"
       FROM agent_tasks WHERE id = ANY ($1::uuid[]) AND status = 'failed'`,
        [uuids(set)],
      ),
  );
  if (failures.length === 0) return NOTHING_SETTLED.endings;
  return await endingsBehind(behind, {
    failures,
    findAllBehind: (ids) => findAllBehind(connection, ids),
  });
}
