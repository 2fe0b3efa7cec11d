/**
 * What waits for other tasks in a DuckDB file: written with new tasks, and read with
 * every write that ends some.
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
import { ERROR, STATE_PART } from "./rows.ts";
import { Values } from "./values.ts";

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
  const { waiting, named } = added;
  if (waiting.length === 0) return;
  const ids = await inSets(
    named.ids,
    SET_SIZE,
    async (set) =>
      await connection.json<string[]>(
        `SELECT to_json(list(id)) FROM agent_tasks
       WHERE id IN (SELECT unnest($1::JSON::UUID[]))`,
        [JSON.stringify(set)],
      ) ?? [],
  );
  const keys = await inSets(
    named.keys,
    SET_SIZE,
    async (set) =>
      await connection.json<[string, string][]>(
        `SELECT to_json(list([key, id])) FROM (
         SELECT key, arg_max(id, (created_at, rowid))::TEXT AS id
         FROM agent_tasks WHERE key IN (SELECT unnest($1::JSON::TEXT[]))
         GROUP BY key)`,
        [JSON.stringify(set)],
      ) ?? [],
  );
  const dependencies = added.resolve({
    ids: new Set(ids),
    keys: new Map(keys),
  });
  await addDependencies(connection, dependencies);
}

/** Writes what waits for what. */
export async function addDependencies(
  connection: Connection,
  dependencies: readonly Dependency[],
): Promise<void> {
  for (let start = 0; start < dependencies.length; start += SET_SIZE) {
    const set = dependencies.slice(start, start + SET_SIZE);
    const values = new Values();
    const rows = values.rows(set.map(({ taskId }) => taskId), {
      after_id: { type: "UUID", values: set.map(({ afterId }) => afterId) },
      position: {
        type: "INTEGER",
        values: set.map(({ position }) => position),
      },
    });
    await connection.run(
      `INSERT INTO agent_task_dependencies (task_id, after_id, position)
       SELECT id, after_id, position FROM (SELECT ${rows})`,
      values.list,
    );
  }
}

/** What these tasks wait for, or waited for, in the order that was given. */
export async function readDependencies(
  connection: Connection,
  ids: readonly string[],
): Promise<Dependency[]> {
  return await connection.json<Dependency[]>(
    `SELECT to_json(list({taskId: task_id, afterId: after_id,
       position: position} ORDER BY task_id, position))
     FROM agent_task_dependencies
     WHERE task_id IN (SELECT unnest($1::JSON::UUID[]))`,
    [JSON.stringify(ids)],
  ) ?? [];
}

/** What is to be written of those of these tasks that wait: they are new. */
export function settlingOf(
  connection: Connection,
  ids: readonly string[],
): Promise<Settling> {
  const values = new Values();
  const which = `w.id IN (SELECT ${values.ids(ids)})`;
  return findSettling(connection, which, values);
}

/**
 * What is to be written of those behind tasks that have ended. For who has no
 * dependencies, it looks into an empty table.
 */
export async function settlingBehind(
  connection: Connection,
  ended: readonly string[],
): Promise<Settling> {
  if (ended.length === 0 || !await hasAny(connection)) return NOTHING_SETTLED;
  const values = new Values();
  const which = `w.id IN (SELECT task_id FROM agent_task_dependencies
    WHERE after_id IN (SELECT ${values.ids(ended)}))`;
  return await findSettling(connection, which, values);
}

/** What is to be written of all: another program ends tasks, too. */
export async function settlingOfAll(connection: Connection): Promise<Settling> {
  return await hasAny(connection)
    ? await findSettling(connection, "true", new Values())
    : NOTHING_SETTLED;
}

/** Mostly there are none, which DuckDB knows without reading any task. */
async function hasAny(connection: Connection): Promise<boolean> {
  return await connection.json<boolean>(
    "SELECT to_json(EXISTS (FROM agent_task_dependencies))",
  ) ?? false;
}

interface Verdict {
  readonly id: string;
  /** It waits for one that failed, and does not run then. */
  readonly isEnding: boolean;
}

/** @param which holds for the tasks `w` that are looked at */
async function findSettling(
  connection: Connection,
  which: string,
  values: Values,
): Promise<Settling> {
  const verdicts = await connection.json<Verdict[]>(
    // Joined from the few that wait: DuckDB would make a table of all tasks.
    `WITH waiting AS MATERIALIZED (
       SELECT id, if_failed FROM agent_tasks w WHERE ${IS_BLOCKED} AND ${which}),
     looked AS (
       SELECT d.task_id,
         bool_or(a.status NOT IN ('completed', 'failed')) AS is_open,
         bool_or(a.status = 'failed') AS has_failed
       FROM waiting JOIN agent_task_dependencies d ON d.task_id = waiting.id
       JOIN agent_tasks a ON a.id = d.after_id GROUP BY d.task_id)
     SELECT to_json(list({id: id, isEnding: is_ending})) FROM (
       SELECT id, coalesce(is_open, false) AS is_open,
         coalesce(has_failed AND if_failed <> 'run', false) AS is_ending
       FROM waiting LEFT JOIN looked ON task_id = id)
     WHERE is_ending OR NOT is_open`,
    values.list,
  ) ?? [];
  const idsOf = (isEnding: boolean) =>
    verdicts.filter((it) => it.isEnding === isEnding).map(({ id }) => id);
  return {
    endings: await findEndings(connection, idsOf(true)),
    free: idsOf(false),
  };
}

/** How tasks end that wait for one that failed, and all behind them. */
async function findEndings(
  connection: Connection,
  ids: readonly string[],
): Promise<Endings> {
  if (ids.length === 0) return NOTHING_SETTLED.endings;
  const first = await findBehind(
    connection,
    "a.status = 'failed' AND w.id IN (SELECT unnest($1::JSON::UUID[]))",
    ids,
  );
  return await endingsBehind(first, {
    failures: await readFailures(connection, first),
    // All that wait, at once: a query for each level, or one that recurs, takes
    // seconds where a line is long.
    findAllBehind: () => findBehind(connection, "w.if_failed <> 'run'"),
  });
}

async function findBehind(
  connection: Connection,
  condition: string,
  ids?: readonly string[],
): Promise<Behind[]> {
  return await connection.json<Behind[]>(
    `SELECT to_json(list({id: w.id, ifFailed: w.if_failed, afterId: a.id}
       ORDER BY w.id, d.position))
     FROM agent_task_dependencies d JOIN agent_tasks w ON w.id = d.task_id
     JOIN agent_tasks a ON a.id = d.after_id
     WHERE ${IS_BLOCKED} AND ${condition}`,
    ids ? [JSON.stringify(ids)] : [],
  ) ?? [];
}

async function readFailures(
  connection: Connection,
  behind: readonly Behind[],
): Promise<Failure[]> {
  const ids = [...new Set(behind.map(({ afterId }) => afterId))];
  return await connection.json<Failure[]>(
    `SELECT to_json(list({id: id, error: ${ERROR},
       isSkipped: ${STATE_PART.skipped}}))
     FROM agent_tasks WHERE id IN (SELECT unnest($1::JSON::UUID[]))`,
    [JSON.stringify(ids)],
  ) ?? [];
}
