/**
 * Rows for HandsFree's table `notifications`, where there is one, in the form
 * that its own runner writes.
 *
 * @module
 */

import { messageOf } from "../../base/errors.ts";
import type { Connection, SqlValue } from "./connection.ts";
import { TASK_FIELDS } from "./rows.ts";
import { Values } from "./values.ts";

/** The columns that are filled; `event` and `run` say what happened, and when. */
const COLUMNS: Readonly<Record<string, string>> = {
  id: "uuid()",
  user_id: "user_id",
  event_type: "'agent.task_' || event",
  message: `'Agent task ' || event || ': ' ||
    coalesce(nullif(instruction, ''), 'No instruction')`,
  metadata: `to_json({task_id: id, provider: provider,
    target_type: ${TASK_FIELDS.targetType},
    target_ref: ${TASK_FIELDS.targetRef}})`,
  created_at: "updated_at",
  priority: "3",
  dedupe_key: "'agent.task_' || event || ':' || id || ':' || run",
  profile: "'default'",
  delivery_status: "'pending'",
};

const IS_IT = `table_name = 'notifications'
  AND database_name = current_database() AND schema_name = current_schema()`;

/** Without these, a row says nothing. */
const NEEDED = ["user_id", "event_type", "message"];

/** A table that is not as expected. */
const REFUSALS =
  /^(Constraint|Conversion|Binder|Catalog|Invalid Input|Not implemented|Parser) Error/i;

/** Rows can't be written; from now on, none are. */
export class NotificationsError extends Error {
  override readonly name = "NotificationsError";
}

/** What the table of one connection takes. */
interface Table {
  readonly columns: readonly string[];
  /** It has a key, so that a row may be there already. */
  readonly hasKey: boolean;
}

/** Options for {@linkcode Notifications}. */
export interface NotificationsOptions {
  /** Says, once, what is not as expected. */
  readonly onProblem: (message: string) => void;
}

/** Writes notifications of one database. */
export class Notifications {
  readonly #options: NotificationsOptions;
  readonly #tables = new WeakMap<Connection, Promise<Table | undefined>>();
  #isOff = false;
  #hasToldGaps = false;

  constructor(options: NotificationsOptions) {
    this.#options = options;
  }

  /**
   * Writes a row for each row of `source`: a SELECT that has the columns of
   * `agent_tasks`, `event` and `run`, in the transaction that is open.
   *
   * @throws {NotificationsError} where the table takes none: start again.
   */
  async write(
    connection: Connection,
    source: string,
    values?: readonly SqlValue[],
  ): Promise<void> {
    if (this.#isOff) return;
    const table = await this.#tableOf(connection);
    if (!table) return;
    const { columns, hasKey } = table;
    try {
      await connection.run(
        `INSERT INTO notifications (${columns.join(", ")})
         SELECT ${columns.map((name) => COLUMNS[name]).join(", ")}
         FROM (${source}) ${hasKey ? "ON CONFLICT DO NOTHING" : ""}`,
        values,
      );
    } catch (error) {
      if (!REFUSALS.test(messageOf(error))) throw error;
      this.#isOff = true;
      this.#options.onProblem(
        "Cannot write to the table notifications: " +
          `${messageOf(error).split("\n")[0]}. ` +
          "Tasks are run without notifications until the next start.",
      );
      throw new NotificationsError("", { cause: error });
    }
  }

  /** Whether there is a table to write to. */
  async isUsed(connection: Connection): Promise<boolean> {
    return !this.#isOff && await this.#tableOf(connection) !== undefined;
  }

  #tableOf(connection: Connection): Promise<Table | undefined> {
    let table = this.#tables.get(connection);
    if (!table) {
      table = this.#find(connection);
      this.#tables.set(connection, table);
    }
    return table;
  }

  async #find(connection: Connection): Promise<Table | undefined> {
    // Of all ways to ask for a table that is not there, the cheapest.
    const count = await connection.json<number>(
      `SELECT to_json(count(*)) FROM duckdb_tables() WHERE ${IS_IT}`,
    );
    if (count === 0) return undefined;
    const found = await connection.json<{ columns: string[]; hasKey: boolean }>(
      `SELECT to_json({columns: list(column_name),
         hasKey: EXISTS (SELECT 1 FROM duckdb_constraints() WHERE ${IS_IT}
             AND constraint_type IN ('PRIMARY KEY', 'UNIQUE'))
           OR EXISTS (SELECT 1 FROM duckdb_indexes()
             WHERE ${IS_IT} AND is_unique)})
       FROM duckdb_columns() WHERE ${IS_IT}`,
    );
    const { columns: present = [], hasKey = false } = found ?? {};
    const columns = Object.keys(COLUMNS).filter((it) => present.includes(it));
    const missing = Object.keys(COLUMNS).filter((it) => !present.includes(it));
    const isUsable = NEEDED.every((name) => columns.includes(name));
    if (missing.length > 0) this.#tellGaps(missing, isUsable);
    return isUsable ? { columns, hasKey } : undefined;
  }

  #tellGaps(missing: readonly string[], isUsable: boolean): void {
    if (this.#hasToldGaps) return;
    this.#hasToldGaps = true;
    this.#options.onProblem(
      `The table notifications has no column ${missing.join(", ")}: ` +
        (isUsable
          ? "notifications are written without."
          : "no notifications are written."),
    );
  }
}

/** The notifications of each connection; none where they are turned off. */
const byConnection = new WeakMap<Connection, Notifications>();

/** To be called with each new connection. */
export function attachNotifications(
  connection: Connection,
  notifications: Notifications,
): void {
  byConnection.set(connection, notifications);
}

/** The events that are notified of, and what HandsFree calls them. */
const NAMES: ReadonlyMap<string, string> = new Map([
  ["started", "started"],
  ["completed", "completed"],
  ["failed", "failed"],
  ["cancelled", "failed"],
]);

/** An event of a task. */
interface NotifiedEvent {
  readonly id: string;
  readonly kind: string;
  readonly attempt: number;
}

/** Notifies of events, in the transaction that has written them. */
export async function writeNotifications(
  connection: Connection,
  events: readonly NotifiedEvent[],
  at: Date,
): Promise<void> {
  const notifications = byConnection.get(connection);
  if (!await notifications?.isUsed(connection)) return;
  const notified = events.filter(({ kind }) => NAMES.has(kind));
  if (notified.length === 0) return;
  const values = new Values();
  const updatedAt = values.time(at);
  const rows = values.rows(notified.map(({ id }) => id), {
    event: {
      type: "TEXT",
      values: notified.map(({ kind }) => NAMES.get(kind) ?? null),
    },
    run: { type: "INTEGER", values: notified.map(({ attempt }) => attempt) },
  });
  await notifications?.write(
    connection,
    `SELECT t.* REPLACE (${updatedAt} AS updated_at), o.event, o.run
     FROM agent_tasks t JOIN (SELECT ${rows}) o ON t.id = o.id`,
    values.list,
  );
}
