/**
 * Tasks in a DuckDB file. Its folder has all the SQL there is.
 *
 * @module
 */

import { type Clock, systemClock } from "../../base/clock.ts";
import type { TaskFeed } from "../feed.ts";
import type { Outbox } from "../outbox.ts";
import type { TaskHistory } from "../history.ts";
import type {
  AnswerResult,
  CancelResult,
  ClaimOptions,
  ClaimResult,
  HeartbeatResult,
  ListOptions,
  Preview,
  PreviewOptions,
  RecordResult,
  TaskStore,
} from "../contract.ts";
import type {
  AgentTask,
  Lease,
  NewTask,
  TaskEvent,
  TaskState,
  Transition,
} from "../../task/task.ts";
import { oneSetOf, type TaskSets } from "../task_sets.ts";
import { Claimer } from "./claim.ts";
import { type Connect, connectDuckDb } from "./connection.ts";
import { createTasks } from "./create.ts";
import { Database, type DatabaseOptions } from "./database.ts";
import { DuckDbFeed } from "./feed.ts";
import { DuckDbHistory } from "./history.ts";
import { renewLeases } from "./leases.ts";
import {
  attachNotifications,
  Notifications,
  NotificationsError,
} from "./notifications.ts";
import { DuckDbOutbox } from "./outbox.ts";
import { previewClaim } from "./preview.ts";
import { deleteOldEvents } from "./prune.ts";
import { readTasks } from "./read_tasks.ts";
import {
  applyPrepared,
  applyToChangedRows,
  prepare,
  RowsChangedError,
} from "./record.ts";
import { EVENT_COLUMNS, eventOf, type EventRow } from "./rows.ts";
import { ensureSchema } from "./schema.ts";
import { DuckDbTaskSets } from "./sets.ts";
import { Stage } from "./stage.ts";

/** Options for {@linkcode openDuckDbStore}. */
export interface DuckDbStoreOptions
  extends Omit<DatabaseOptions, "onOpen" | "isWorthAnother"> {
  /** @default {systemClock} */
  readonly clock?: Clock;
  /** @default {connectDuckDb} */
  readonly connect?: Connect;
  /** Called when the tables were made, for the first time. */
  readonly onCreate?: () => void;
  /** Fill HandsFree's table of notifications. @default {true} */
  readonly notifications?: boolean;
  /** Called with what a person should know of the database. */
  readonly onProblem?: (message: string) => void;
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
): Promise<DuckDbTaskStore> {
  const {
    clock = systemClock,
    connect = connectDuckDb,
    onCreate,
    notifications: isNotifying = true,
    onProblem = () => {},
    ...rest
  } = options;
  const notifications = new Notifications({ onProblem });
  const database = new Database(path, { clock, connect }, {
    ...rest,
    onOpen: async (connection) => {
      if (await ensureSchema(connection) === "created") onCreate?.();
      await Stage.open(connection);
      if (isNotifying) attachNotifications(connection, notifications);
    },
    isWorthAnother: (error) => error instanceof NotificationsError,
  });
  const feed = new DuckDbFeed(database, path);
  const store = new DuckDbTaskStore(database, clock, feed);
  await store.countByState();
  return store;
}

/** A shorter wait for the file takes nothing from a lease that counts. */
const LONG_WAIT_MS = 200;

/** A {@linkcode TaskStore} of a DuckDB file. */
export class DuckDbTaskStore implements TaskStore {
  readonly sets: TaskSets;
  readonly history: TaskHistory;
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #claimer = new Claimer();
  readonly feed: TaskFeed;
  readonly outbox: Outbox;

  constructor(database: Database, clock: Clock, feed: TaskFeed) {
    this.sets = new DuckDbTaskSets(database);
    this.history = new DuckDbHistory(database);
    this.#database = database;
    this.#clock = clock;
    this.feed = feed;
    this.outbox = new DuckDbOutbox(database);
  }

  async create(tasks: readonly NewTask[], now: Date): Promise<string[]> {
    const ids = await createTasks(this.#database, oneSetOf(tasks), now);
    return [...ids.sets()].flat();
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

  list(
    { states, provider, limit, offset = 0 }: ListOptions,
  ): Promise<AgentTask[]> {
    return this.#tasks(
      `WHERE ($1::TEXT IS NULL OR list_contains(string_split($1, ','), status))
         AND ($2::TEXT IS NULL OR provider = $2)
       ORDER BY created_at DESC, rowid DESC LIMIT $3 OFFSET $4`,
      [states?.join(",") ?? null, provider ?? null, limit, offset],
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

  async claim(options: ClaimOptions): Promise<ClaimResult> {
    const { now, leaseCutoff = now } = options;
    const later = this.#waitFromNow();
    let isAgain = false;
    try {
      return await this.#database.transaction((connection) => {
        if (isAgain) this.#claimer.forget();
        isAgain = true;
        return this.#claimer.claim(connection, {
          ...options,
          now: later(now),
          // Who could not renew a lease while the file was held is not dead.
          leaseCutoff,
        });
      });
    } catch (error) {
      this.#claimer.forget();
      throw error;
    }
  }

  nextDueAt(now: Date): Promise<Date | null> {
    return this.#database.transaction(async (connection) => {
      const due = await connection.json<number>(
        `SELECT to_json(epoch_ms(min(due))) FROM (
           SELECT CASE status WHEN 'running'
             THEN greatest(run_at, lease_expires_at) ELSE run_at END AS due
           FROM agent_tasks
           WHERE status IN ('created', 'running', 'needs_input'))
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
    const later = this.#waitFromNow();
    return this.#database.transaction((connection) =>
      renewLeases(connection, leases, later(expiresAt))
    );
  }

  preview(options: PreviewOptions): Promise<Preview> {
    return this.#database.transaction((connection) =>
      previewClaim(connection, options)
    );
  }

  async cancel(id: string, now: Date): Promise<CancelResult> {
    const [result = "missing"] = await this.sets.cancel([id], now);
    return result;
  }

  async answer(id: string, text: string, now: Date): Promise<AnswerResult> {
    const [result = "missing"] = await this.sets.answer([id], text, now);
    return result;
  }

  pruneEvents(before: Date): Promise<number> {
    return this.#database.transaction((connection) =>
      deleteOldEvents(connection, before)
    );
  }

  async record(
    transitions: readonly Transition[],
    now: Date,
  ): Promise<readonly RecordResult[]> {
    if (transitions.length === 0) return [];
    const prepared = prepare(transitions);
    try {
      return await this.#database.transaction((connection) =>
        applyPrepared(connection, prepared, now)
      );
    } catch (error) {
      if (!(error instanceof RowsChangedError)) throw error;
    }
    return await this.#database.transaction((connection) =>
      applyToChangedRows(connection, transitions, now)
    );
  }

  changeCount(): Promise<number> {
    return this.#database.changeCount();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#database[Symbol.asyncDispose]();
  }

  /**
   * Adds to a time how long was waited since. Another process may hold the file
   * for longer than a lease; a lease must not be over when it is written.
   */
  #waitFromNow(): (time: Date) => Date {
    const from = this.#clock.monotonic();
    return (time) => {
      const waitedMs = this.#clock.monotonic() - from;
      return waitedMs < LONG_WAIT_MS
        ? time
        : new Date(time.getTime() + waitedMs);
    };
  }

  #tasks(
    rest: string,
    values: readonly (string | number | null)[],
  ): Promise<AgentTask[]> {
    return this.#database.transaction((connection) =>
      readTasks(connection, rest, values)
    );
  }
}
