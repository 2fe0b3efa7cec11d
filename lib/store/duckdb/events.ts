/**
 * The history: of one task, and of all in their order.
 *
 * @module
 */

import type { TaskEvent } from "../../task/task.ts";
import type { EventPage, Events, EventsOptions } from "../contract.ts";
import type { Connection, SqlValue } from "./connection.ts";
import type { Database } from "./database.ts";
import { EVENT_COLUMNS, eventOf, type EventRow } from "./rows.ts";

/** The events that a SELECT finds, by their ids. */
export async function readEvents(
  connection: Connection,
  select: string,
  values: readonly SqlValue[],
): Promise<TaskEvent[]> {
  const rows = await connection.json<EventRow[]>(
    `SELECT to_json(list(t ORDER BY id)) FROM (${select}) t`,
    values,
  ) ?? [];
  return rows.map(eventOf);
}

/**
 * The {@linkcode Events} of a DuckDB file. One transaction writes at a time, so the
 * events become visible in the order of their ids: a cursor is such an id.
 */
export class DuckDbEvents implements Events {
  readonly #database: Database;
  readonly first = "0";

  constructor(database: Database) {
    this.#database = database;
  }

  after(
    cursor: string,
    { limit, taskId }: EventsOptions,
  ): Promise<EventPage> {
    return this.#database.transaction(async (connection) => {
      const found = await readEvents(
        connection,
        `SELECT ${EVENT_COLUMNS} FROM agent_task_events
         WHERE id > $1::BIGINT AND ($2::UUID IS NULL OR task_id = $2::UUID)
         ORDER BY id LIMIT $3`,
        [cursor, taskId ?? null, limit],
      );
      const events = found.map((it) => ({ ...it, cursor: String(it.id) }));
      if (events.length === limit || taskId === undefined) {
        return { events, cursor: events.at(-1)?.cursor ?? cursor };
      }
      const last = await lastId(connection);
      return { events, cursor: String(Math.max(last, Number(cursor))) };
    });
  }

  last(): Promise<string> {
    return this.#database.transaction(async (connection) =>
      String(await lastId(connection))
    );
  }

  isCursor(text: string): boolean {
    return /^\d{1,15}$/.test(text);
  }

  onChange(listener: () => void): Disposable {
    return this.#database.onChange(listener, { own: true });
  }
}

async function lastId(connection: Connection): Promise<number> {
  return await connection.json<number>(
    "SELECT to_json(coalesce(max(id), 0)) FROM agent_task_events",
  ) ?? 0;
}
