/**
 * Adding tasks in sets.
 *
 * @module
 */

import { DuplicateIdError, messageOf, UsageError } from "../../base/errors.ts";
import { type NewTask, parseTargetRef } from "../../task/task.ts";
import { stringifyJson } from "../../task/trace.ts";
import type { NewTasks } from "../contract.ts";
import { IdList } from "../id_list.ts";
import {
  type Connection,
  type SqlValue,
  USE_MORE_MEMORY,
} from "./connection.ts";
import type { Database } from "./database.ts";
import { fittingSets, Values } from "./values.ts";
import { writeEvents, type WrittenEvent } from "./write.ts";

/**
 * In characters. DuckDB has it in memory until the commit, and needs as much again
 * for that: where it has too little then, nobody knows what it has committed.
 */
const MUCH_TEXT = 50_000_000;

/**
 * Adds tasks in one transaction, and returns their ids in the same order.
 *
 * @throws {DuplicateIdError} where there is a task with one of the ids already.
 */
export async function createTasks(
  database: Database,
  incoming: NewTasks,
): Promise<IdList> {
  if (incoming.count === 0) return new IdList();
  try {
    return await database.transaction(async (connection) => {
      const at = database.now();
      const ids = new IdList();
      let length = 0;
      for await (const tasks of oneAhead(incoming.sets())) {
        const rows = tasks.map(rowOf);
        for (const set of fittingSets(rows, lengthOf)) {
          ids.add(await insert(connection, set, at));
        }
        const before = length;
        for (const row of rows) length += lengthOf(row);
        if (before <= MUCH_TEXT && length > MUCH_TEXT) {
          await connection.run(USE_MORE_MEMORY);
        }
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

/** Asks for the next item while one is used: DuckDB works meanwhile. */
async function* oneAhead<T>(
  items: Iterable<T> | AsyncIterable<T>,
): AsyncGenerator<T> {
  const iterator = Symbol.asyncIterator in items
    ? items[Symbol.asyncIterator]()
    : items[Symbol.iterator]();
  const ask = () => {
    const next = Promise.resolve(iterator.next());
    next.catch(() => {}); // It may fail before anybody waits for it.
    return next;
  };
  let next = ask();
  try {
    for (let item = await next; !item.done; item = await next) {
      next = ask();
      yield item.value;
    }
  } finally {
    await Promise.allSettled([next]);
    await iterator.return?.();
  }
}

/** What a task's row is made of beside its id, with DuckDB's types. */
const COLUMNS = {
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
};

type Name = keyof typeof COLUMNS;

interface Row extends Readonly<Record<Name, SqlValue>> {
  readonly id: string;
  readonly instruction: string | null;
  readonly last_update: string | null;
}

function lengthOf({ instruction, last_update: trace }: Row): number {
  return (instruction?.length ?? 0) + (trace?.length ?? 0);
}

const NAMES = Object.keys(COLUMNS) as Name[];

/** A temporary table of a set would keep its memory until the transaction ends. */
async function insert(
  connection: Connection,
  rows: readonly Row[],
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

function rowOf(task: NewTask): Row {
  const { repo, issue, pr } = targetColumnsOf(task);
  return {
    id: task.id ?? crypto.randomUUID(),
    user_id: task.userId,
    // DuckDB's JSON has no half characters.
    provider: task.provider.toWellFormed(),
    repo_full_name: repo,
    issue_number: issue,
    pr_number: pr,
    instruction: task.instruction?.toWellFormed() ?? null,
    last_update: task.trace ? stringifyJson(task.trace) : null,
    priority: task.priority ?? 0,
    run_at: task.runAt?.toISOString() ?? null,
    max_attempts: task.maxAttempts ?? null,
    timeout_ms: task.timeoutMs ?? null,
  };
}

function targetColumnsOf({ targetType, targetRef }: NewTask) {
  const target = targetRef ? parseTargetRef(targetRef) : undefined;
  if (targetRef && !target) {
    throw new UsageError(
      `Cannot use the target "${targetRef}": expected owner/repo#123 or #123.`,
    );
  }
  const number = target?.number ?? null;
  return {
    repo: target?.repo ?? null,
    issue: targetType === "pr" ? null : number,
    pr: targetType === "pr" ? number : null,
  };
}
