/**
 * Many tasks at once.
 *
 * @module
 */

import type { IdList } from "../id_list.ts";
import type { AnswerResult, CancelResult } from "../contract.ts";
import {
  type ChosenTask,
  type IncomingTasks,
  inSets,
  type RetryResult,
  type TaskFilter,
  type TaskSets,
} from "../task_sets.ts";
import type { Connection, SqlValue } from "./connection.ts";
import { createTasks } from "./create.ts";
import type { Database } from "./database.ts";
import { answerTasks, cancelTasks } from "./requests.ts";
import { awaitsAttempt, NEVER_RETRIED, retryTasks } from "./retry.ts";

/**
 * Tasks of one transaction. 10,000 take well under a second, after which others
 * get their turn at the file.
 */
const SET_SIZE = 10_000;
/** Text that one transaction writes into tasks, be those ever so many. */
const SET_CHARACTERS = 16 * 1024 ** 2;

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

  answer(
    ids: readonly string[],
    text: string,
    now: Date,
  ): Promise<AnswerResult[]> {
    const fitting = Math.floor(SET_CHARACTERS / Math.max(text.length, 1));
    return this.#inSets(
      ids,
      (connection, set) => answerTasks(connection, { ids: set, text, now }),
      { size: Math.min(Math.max(fitting, 1), SET_SIZE) },
    );
  }

  retry(ids: readonly string[], now: Date): Promise<RetryResult[]> {
    return this.#inSets(
      ids,
      (connection, set) => retryTasks(connection, set, now),
    );
  }

  #inSets<T>(
    ids: readonly string[],
    work: (connection: Connection, set: readonly string[]) => Promise<T[]>,
    { size = SET_SIZE }: { readonly size?: number } = {},
  ): Promise<T[]> {
    return inSets(
      ids,
      size,
      (set) =>
        this.#database.transaction((connection) => work(connection, set)),
    );
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
