/**
 * Tasks in a DuckDB file. With its neighbours `claim.ts`, `record.ts`, `rows.ts`
 * and `schema.ts`, all the SQL there is.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { messageOf, UsageError } from "../errors.ts";
import type {
  ClaimOptions,
  ClaimResult,
  HeartbeatResult,
  ListOptions,
  RecordResult,
  TaskStore,
} from "../store.ts";
import {
  type AgentTask,
  type Lease,
  type NewTask,
  parseTargetRef,
  type TaskEvent,
  type TaskState,
  type Transition,
} from "../task.ts";
import { stringifyJson } from "../trace.ts";
import { Claimer } from "./claim.ts";
import { type Connect, connectDuckDb } from "./connection.ts";
import { Database, type DatabaseOptions } from "./database.ts";
import {
  applyToChangedRows,
  applyTransitions,
  RowsChangedError,
} from "./record.ts";
import {
  EVENT_COLUMNS,
  eventOf,
  type EventRow,
  TASK_COLUMNS,
  taskOf,
  type TaskRow,
} from "./rows.ts";
import { ensureSchema } from "./schema.ts";

/** Options for {@linkcode openDuckDbStore}. */
export interface DuckDbStoreOptions extends Omit<DatabaseOptions, "onOpen"> {
  /** @default {systemClock} */
  readonly clock?: Clock;
  /** @default {connectDuckDb} */
  readonly connect?: Connect;
}

/**
 * Opens the store in a DuckDB file, or in memory for `:memory:`. Makes the file
 * and the tables where there are none.
 *
 * @throws {DatabaseError} where the file can't be used.
 */
export async function openDuckDbStore(
  path: string,
  options: DuckDbStoreOptions = {},
): Promise<TaskStore> {
  const { clock = systemClock, connect = connectDuckDb, ...rest } = options;
  const database = new Database(path, { clock, connect }, {
    ...rest,
    onOpen: ensureSchema,
  });
  const store = new DuckDbTaskStore(database);
  await store.countByState();
  return store;
}

class DuckDbTaskStore implements TaskStore {
  readonly #database: Database;
  readonly #claimer = new Claimer();

  constructor(database: Database) {
    this.#database = database;
  }

  async create(tasks: readonly NewTask[], now: Date): Promise<string[]> {
    const ids = tasks.map(({ id }) => id ?? crypto.randomUUID());
    if (ids.length === 0) return ids;
    const targets = tasks.map((task) => targetColumnsOf(task));
    try {
      await this.#database.transaction(async (connection) => {
        await connection.run(
          `CREATE OR REPLACE TEMP TABLE incoming_tasks (
             position INTEGER, id UUID, user_id UUID, provider TEXT, repo TEXT,
             issue INTEGER, pr INTEGER, instruction TEXT, trace TEXT,
             priority INTEGER, run_at BIGINT, max_attempts INTEGER)`,
        );
        await connection.append("incoming_tasks", [
          { type: "integer", values: ids.map((_, index) => index) },
          { type: "text", values: ids },
          { type: "text", values: tasks.map(({ userId }) => userId) },
          { type: "text", values: tasks.map(({ provider }) => provider) },
          { type: "text", values: targets.map(({ repo }) => repo) },
          { type: "integer", values: targets.map(({ issue }) => issue) },
          { type: "integer", values: targets.map(({ pr }) => pr) },
          {
            type: "text",
            values: tasks.map(({ instruction }) => instruction ?? null),
          },
          {
            type: "text",
            values: tasks.map(({ trace }) =>
              trace ? stringifyJson(trace) : null
            ),
          },
          {
            type: "integer",
            values: tasks.map(({ priority }) => priority ?? 0),
          },
          {
            type: "bigint",
            values: tasks.map(({ runAt }) =>
              runAt ? BigInt(runAt.getTime()) : null
            ),
          },
          {
            type: "integer",
            values: tasks.map(({ maxAttempts }) => maxAttempts ?? null),
          },
        ]);
        await connection.run(
          `INSERT INTO agent_tasks
             (id, user_id, provider, repo_full_name, issue_number, pr_number,
              instruction, status, last_update, created_at, updated_at,
              priority, run_at, attempt, max_attempts)
           SELECT id, user_id, provider, repo, issue, pr, instruction,
             'created', trace, $1::TIMESTAMPTZ, $1::TIMESTAMPTZ,
             priority, epoch_ms(run_at), 0, max_attempts
           FROM incoming_tasks ORDER BY position`,
          [now.toISOString()],
        );
        await connection.run(
          `INSERT INTO agent_task_events (task_id, kind, occurred_at, attempt)
           SELECT id, 'created', $1::TIMESTAMPTZ, 0
           FROM incoming_tasks ORDER BY position`,
          [now.toISOString()],
        );
        await connection.run("DROP TABLE incoming_tasks");
      });
    } catch (error) {
      const [, id] = /Duplicate key "id: ([-0-9a-f]+)"/.exec(
        messageOf(error),
      ) ?? [];
      if (!id) throw error;
      throw new UsageError(
        `Cannot create task ${id}: there is one with this id. ` +
          "Leave the id out to get a new one.",
        { cause: error },
      );
    }
    return ids;
  }

  async get(id: string): Promise<AgentTask | undefined> {
    const [task] = await this.#tasks("WHERE id = $1::UUID", [id]);
    return task;
  }

  findByPrefix(prefix: string, limit: number): Promise<AgentTask[]> {
    return this.#tasks(
      "WHERE starts_with(id::TEXT, $1) ORDER BY id LIMIT $2",
      [prefix.toLowerCase(), limit],
    );
  }

  list({ states, provider, limit }: ListOptions): Promise<AgentTask[]> {
    return this.#tasks(
      `WHERE ($1::TEXT IS NULL OR list_contains(string_split($1, ','), status))
         AND ($2::TEXT IS NULL OR provider = $2)
       ORDER BY created_at DESC, rowid DESC LIMIT $3`,
      [states?.join(",") ?? null, provider ?? null, limit],
    );
  }

  countByState(): Promise<Partial<Record<TaskState, number>>> {
    return this.#database.transaction(async (connection) => {
      const rows = await connection.json<{ status: TaskState; n: number }[]>(
        `SELECT to_json(list(t)) FROM (
           SELECT status, count(*) AS n FROM agent_tasks GROUP BY status) t`,
      );
      return Object.fromEntries(
        (rows ?? []).map(({ status, n }) => [status, n]),
      );
    });
  }

  events(taskId: string): Promise<TaskEvent[]> {
    return this.#database.transaction(async (connection) => {
      const rows = await connection.json<EventRow[]>(
        `SELECT to_json(list(t ORDER BY id)) FROM (
           SELECT ${EVENT_COLUMNS} FROM agent_task_events
           WHERE task_id = $1::UUID) t`,
        [taskId],
      );
      return (rows ?? []).map(eventOf);
    });
  }

  claim(options: ClaimOptions): Promise<ClaimResult> {
    return this.#database.transaction((connection) =>
      this.#claimer.claim(connection, options)
    );
  }

  nextDueAt(now: Date): Promise<Date | null> {
    return this.#database.transaction(async (connection) => {
      const due = await connection.json<number>(
        `SELECT to_json(epoch_ms(min(due))) FROM (
           SELECT CASE status WHEN 'created' THEN run_at
             ELSE greatest(run_at, lease_expires_at) END AS due
           FROM agent_tasks WHERE status IN ('created', 'running'))
         WHERE due > $1::TIMESTAMPTZ`,
        [now.toISOString()],
      );
      return due === null ? null : new Date(due);
    });
  }

  heartbeat(
    leases: readonly Lease[],
    expiresAt: Date,
  ): Promise<HeartbeatResult> {
    const ids = JSON.stringify([...new Set(leases.map(({ id }) => id))]);
    const held =
      `status = 'running' AND lease_id IN (SELECT unnest($1::JSON::UUID[]))`;
    return this.#database.transaction(async (connection) => {
      await connection.run(
        `UPDATE agent_tasks SET lease_expires_at = $2::TIMESTAMPTZ WHERE ${held}`,
        [ids, expiresAt.toISOString()],
      );
      const found = await connection.json<string[]>(
        `SELECT to_json(list(id)) FROM agent_tasks WHERE ${held}`,
        [ids],
      );
      return { held: new Set(found ?? []) };
    });
  }

  async record(
    transitions: readonly Transition[],
    now: Date,
  ): Promise<RecordResult[]> {
    if (transitions.length === 0) return [];
    try {
      return await this.#database.transaction((connection) =>
        applyTransitions(connection, transitions, now)
      );
    } catch (error) {
      if (!(error instanceof RowsChangedError)) throw error;
    }
    return await this.#database.transaction((connection) =>
      applyToChangedRows(connection, transitions, now)
    );
  }

  hasChanged(): Promise<boolean> {
    return this.#database.hasChanged();
  }

  watch(onChange: () => void): Disposable {
    return this.#database.watch(onChange);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#database[Symbol.asyncDispose]();
  }

  #tasks(
    rest: string,
    values: readonly (string | number | null)[],
  ): Promise<AgentTask[]> {
    return this.#database.transaction(async (connection) => {
      // row_number() carries the order of `rest` into the list.
      const rows = await connection.json<TaskRow[]>(
        `SELECT to_json(list(t ORDER BY position)) FROM (
           SELECT row_number() OVER () AS position, * FROM (
             SELECT ${TASK_COLUMNS} FROM agent_tasks ${rest})) t`,
        values,
      );
      return (rows ?? []).map(taskOf);
    });
  }
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
