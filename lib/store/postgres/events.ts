/**
 * The history of all tasks, in an order in which none is missed.
 *
 * A number from a sequence is given out before its transaction commits, so that a
 * smaller one may appear after a larger one was read. Each event has the id of its
 * transaction too, and only those are read whose transactions, and all before them,
 * are over: nothing can appear among them any more. A transaction of anybody on that
 * server that stays open holds back what comes after it, and loses nothing.
 *
 * @module
 */

import type { EventPage, Events, EventsOptions } from "../contract.ts";
import type { Connection } from "./connection.ts";
import type { Database } from "./database.ts";
import { EVENT, eventOf, type EventRow } from "./rows.ts";

/** Holds for an event that may be read. */
export const IS_SETTLED = "xid < pg_snapshot_xmin(pg_current_snapshot())";

/** A transaction's id and an event's number. */
export interface Cursor {
  readonly xid: string;
  readonly id: number;
}

/** The {@linkcode Events} of a PostgreSQL database. */
export class PostgresEvents implements Events {
  readonly #database: Database;
  readonly first = "0-0";

  constructor(database: Database) {
    this.#database = database;
  }

  async after(
    cursor: string,
    { limit, taskId }: EventsOptions,
  ): Promise<EventPage> {
    const [xid = "0", id = "0"] = cursor.split("-");
    return await this.#read(async (connection) => {
      const rows = await connection.rows<EventRow>(
        `SELECT ${EVENT} FROM agent_task_events
         WHERE (xid, id) > ($1::xid8, $2::bigint) AND ${IS_SETTLED}
           AND ($3::uuid IS NULL OR task_id = $3::uuid)
         ORDER BY agent_task_events.xid, id LIMIT $4`,
        [xid, id, taskId ?? null, limit],
      );
      const events = rows.map((row) => ({
        ...eventOf(row),
        cursor: textOf(row),
      }));
      const last = events.at(-1)?.cursor;
      if (events.length === limit || taskId === undefined) {
        return { events, cursor: last ?? cursor };
      }
      const newest = await readLast(connection);
      return {
        events,
        cursor: isAfter(newest, { xid, id }) ? textOf(newest) : cursor,
      };
    });
  }

  last(): Promise<string> {
    return this.#read(async (connection) => textOf(await readLast(connection)));
  }

  isCursor(text: string): boolean {
    return /^\d{1,19}-\d{1,15}$/.test(text);
  }

  onChange(listener: () => void): Disposable {
    return this.#database.announcements.on("events", listener);
  }

  async #read<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    const { announcements } = this.#database;
    // A notification is a transaction too, behind which the own events are.
    await announcements.sent();
    const { value, isBehind } = await this.#database.read(
      async (connection) => ({
        value: await work(connection),
        isBehind: await hasUnsettled(connection),
      }),
    );
    if (isBehind) announcements.tellAgain();
    else announcements.isCaughtUp();
    return value;
  }
}

function textOf({ xid, id }: Cursor): string {
  return `${xid}-${id}`;
}

function isAfter(one: Cursor, other: { xid: string; id: string }): boolean {
  const [a, b] = [BigInt(one.xid), BigInt(other.xid)];
  return a > b || a === b && one.id > Number(other.id);
}

/** The last event that may be read. */
export async function readLast(connection: Connection): Promise<Cursor> {
  const [row] = await connection.rows<Cursor>(
    `SELECT xid::text AS xid, id FROM agent_task_events WHERE ${IS_SETTLED}
     ORDER BY agent_task_events.xid DESC, id DESC LIMIT 1`,
  );
  return row ?? { xid: "0", id: 0 };
}

/** Whether there are events that may not be read yet. */
async function hasUnsettled(connection: Connection): Promise<boolean> {
  const [row] = await connection.rows<{ has: boolean }>(
    `SELECT EXISTS (SELECT FROM agent_task_events
       WHERE xid >= pg_snapshot_xmin(pg_current_snapshot())) AS has`,
  );
  return row?.has ?? false;
}
