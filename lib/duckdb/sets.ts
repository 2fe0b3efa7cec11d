/**
 * Many tasks at once.
 *
 * @module
 */

import type { IdList } from "../id_list.ts";
import type { CancelResult } from "../store.ts";
import type {
  ChosenTask,
  IncomingTasks,
  RetryResult,
  TaskFilter,
  TaskSets,
} from "../task_sets.ts";
import type { Connection, SqlValue } from "./connection.ts";
import { createTasks } from "./create.ts";
import type { Database } from "./database.ts";
import { cancelTasks } from "./requests.ts";
import { awaitsAttempt, NEVER_RETRIED, retryTasks } from "./retry.ts";

/**
 * Tasks of one transaction. 10,000 take well under a second, after which others
 * get their turn at the file.
 */
const SET_SIZE = 10_000;

/** A {@linkcode TaskSets} of a DuckDB file. */
export class DuckDbTaskSets implements TaskSets {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  create(tasks: IncomingTasks, now: Date): Promise<IdList> {
    return createTasks(this.#database, tasks, now);
  }

  findOpen(filter: TaskFilter): Promise<ChosenTask[]> {
    return this.#find("status NOT IN ('completed', 'failed')", filter);
  }

  findRetryable(filter: TaskFilter, now: Date): Promise<ChosenTask[]> {
    return this.#find(
      `(${NEVER_RETRIED} OR ${awaitsAttempt("$3")})`,
      filter,
      [now.toISOString()],
    );
  }

  cancel(ids: readonly string[], now: Date): Promise<CancelResult[]> {
    return this.#inSets(
      ids,
      (connection, set) => cancelTasks(connection, set, now),
    );
  }

  retry(ids: readonly string[], now: Date): Promise<RetryResult[]> {
    return this.#inSets(
      ids,
      (connection, set) => retryTasks(connection, set, now),
    );
  }

  async #inSets<T>(
    ids: readonly string[],
    work: (connection: Connection, set: readonly string[]) => Promise<T[]>,
  ): Promise<T[]> {
    const results: T[] = [];
    for (let start = 0; start < ids.length; start += SET_SIZE) {
      const set = ids.slice(start, start + SET_SIZE);
      const more = await this.#database.transaction((connection) =>
        work(connection, set)
      );
      for (const result of more) results.push(result);
    }
    return results;
  }

  #find(
    condition: string,
    { states, provider }: TaskFilter,
    values: readonly SqlValue[] = [],
  ): Promise<ChosenTask[]> {
    return this.#database.transaction(async (connection) =>
      await connection.json<ChosenTask[]>(
        `SELECT to_json(list({id: id, state: status} ORDER BY created_at, rowid))
         FROM agent_tasks
         WHERE ($1::TEXT IS NULL
             OR list_contains(string_split($1, ','), status))
           AND ($2::TEXT IS NULL OR provider = $2) AND ${condition}`,
        [states?.join(",") ?? null, provider ?? null, ...values],
      ) ?? []
    );
  }
}
