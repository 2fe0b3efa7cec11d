/**
 * All that a PostgreSQL database keeps, for another store.
 *
 * @module
 */

import { ARCHIVE, SET_ROWS } from "../archive.ts";
import type {
  Archive,
  ArchiveRow,
  ArchiveTable,
  Contents,
} from "../contract.ts";
import { SET_CHARACTERS } from "../sets.ts";
import type { Connection } from "./connection.ts";
import { type Database, LONG_MS, type TransactionOptions } from "./database.ts";
import { jsonOf, retriedBy } from "./rows.ts";

/** An {@linkcode Archive} of a PostgreSQL database. */
export class PostgresArchive implements Archive {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  read<T>(work: (contents: Contents) => Promise<T>): Promise<T> {
    return this.#database.read(
      (connection) => work(new PostgresContents(connection)),
      { timeoutMs: LONG_MS },
    );
  }

  async write(
    table: ArchiveTable,
    rows: readonly ArchiveRow[],
  ): Promise<void> {
    await this.#database.transaction(
      (connection) => insert(connection, table, rows),
      {
        wakes: table === "tasks" ? "tasks" : "nobody",
        timeoutMs: LONG_MS,
      },
    );
  }

  async prepare(lastEvent: number): Promise<void> {
    await this.#database.transaction(async (connection) => {
      await connection.run(MARK);
      for (const table of EMPTIED) {
        await connection.run(`DELETE FROM ${ARCHIVE[table].name}`);
      }
      if (lastEvent === 0) return;
      await connection.rows(
        `SELECT setval(pg_get_serial_sequence('agent_task_events', 'id'),
           greatest($1::bigint, (SELECT max(id) FROM agent_task_events)))`,
        [lastEvent],
      );
    }, { wakes: "nobody", timeoutMs: LONG_MS });
  }

  async finish(): Promise<void> {
    await this.#database.transaction(
      (connection) => connection.run(UNMARK),
      { wakes: "nobody" },
    );
  }

  isPartial(options?: TransactionOptions): Promise<boolean> {
    return this.#database.read(hasMark, options);
  }
}

/**
 * While something is missing, there is a version 0 too, which is that of no tables:
 * whoever may write tasks may write it, and what looks for the newest version does
 * not see it.
 */
const MARKED = "FROM agent_runner_version WHERE version = 0";
const MARK = `INSERT INTO agent_runner_version (version)
  SELECT 0 WHERE NOT EXISTS (SELECT ${MARKED})`;
const UNMARK = `DELETE ${MARKED}`;

/** Whether a copy into the database was not finished. */
export async function hasMark(connection: Connection): Promise<boolean> {
  const [row] = await connection.rows<{ has: boolean }>(
    `SELECT EXISTS (SELECT ${MARKED}) AS has`,
  );
  return row?.has ?? false;
}

/** What is copied anew: its rows have nothing by which they are known. */
const EMPTIED = [
  "dependencies",
  "schedules",
  "endpoints",
  "deliveries",
] as const;

/** Fetched at once: each may have texts of some megabytes. */
const FETCHED_ROWS = 20;

class PostgresContents implements Contents {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async count(table: ArchiveTable): Promise<number> {
    const [row] = await this.#connection.rows<{ count: number }>(
      `SELECT count(*) AS count FROM ${ARCHIVE[table].name}`,
    );
    return row?.count ?? 0;
  }

  async lastEvent(): Promise<ArchiveRow | undefined> {
    return await this.#event(
      "id = (SELECT max(id) FROM agent_task_events)",
    );
  }

  async event(id: number): Promise<ArchiveRow | undefined> {
    return await this.#event("id = $1", id);
  }

  async *rows(
    table: ArchiveTable,
    { afterEvent }: { readonly afterEvent: number },
  ): AsyncGenerator<readonly ArchiveRow[]> {
    const lines = this.#connection.sets<{ line: string }>(
      linesOf(table, ORDERS[table]),
      table === "events" ? [afterEvent] : [],
      FETCHED_ROWS,
    );
    let set: ArchiveRow[] = [];
    let length = 0;
    for await (const some of lines) {
      for (const { line } of some) {
        length += line.length;
        if (set.length === SET_ROWS || length > SET_CHARACTERS) {
          yield set;
          set = [];
          length = line.length;
        }
        set.push(JSON.parse(line));
      }
    }
    if (set.length > 0) yield set;
  }

  async #event(
    condition: string,
    ...values: number[]
  ): Promise<ArchiveRow | undefined> {
    const [row] = await this.#connection.rows<{ line: string }>(
      linesOf("events", `WHERE ${condition} LIMIT 1`),
      values,
    );
    return row && JSON.parse(row.line);
  }
}

const ORDERS: Readonly<Record<ArchiveTable, string>> = {
  events: "WHERE id > $1 ORDER BY id",
  tasks: "ORDER BY created_at, seq",
  dependencies: "ORDER BY task_id, position",
  schedules: "ORDER BY name",
  endpoints: "ORDER BY endpoint",
  deliveries: "ORDER BY endpoint, event_id",
};

/**
 * Numbers may be out of the order in which a receiver gets the events: before its
 * place by number are only those that it has got. It may get some once more.
 */
const LAST_EVENT_ID = `coalesce(
  (SELECT min(e.id) - 1 FROM agent_task_events e
    WHERE (e.xid, e.id) > (last_xid, last_event_id)),
  last_event_id)`;

/** Each row as a line of JSON. */
function linesOf(table: ArchiveTable, rest: string): string {
  const { name, columns } = ARCHIVE[table];
  const fields = Object.entries(columns).map(([column, type]) =>
    type === "timestamptz"
      ? `to_char(${column} AT TIME ZONE 'UTC',
          'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS ${column}`
      : column === "last_event_id"
      ? `${LAST_EVENT_ID} AS last_event_id`
      : column
  );
  return `SELECT row_to_json(r)::text AS line FROM (
    SELECT ${fields.join(", ")} FROM ${name} ${rest}) r`;
}

/** What is only here, of the row `r`. */
const OWN: Readonly<
  Record<ArchiveTable, Readonly<Record<string, string>>>
> = {
  events: {},
  tasks: { retry_of: "r.retry_of" },
  dependencies: {},
  schedules: {},
  endpoints: {
    last_xid: `coalesce((SELECT xid FROM agent_task_events e
      WHERE e.id <= r.last_event_id ORDER BY e.id DESC LIMIT 1), '0'::xid8)`,
  },
  deliveries: {
    event_xid: `coalesce((SELECT xid FROM agent_task_events e
      WHERE e.task_id = r.task_id AND e.id = r.event_id), '0'::xid8)`,
  },
};

async function insert(
  connection: Connection,
  table: ArchiveTable,
  rows: readonly ArchiveRow[],
): Promise<void> {
  const { name, columns } = ARCHIVE[table];
  const isTasks = table === "tasks";
  const types = Object.entries(
    isTasks ? { ...columns, retry_of: "uuid" } : columns,
  ).map((column) => column.join(" "));
  const own = OWN[table];
  const names = [...Object.keys(columns), ...Object.keys(own)];
  const values = [
    ...Object.keys(columns).map((it) => `r.${it}`),
    ...Object.values(own),
  ];
  const others = names.filter((it) => it !== "id");
  const given = isTasks
    ? rows.map((row) => ({
      ...row,
      retry_of: retriedBy(
        typeof row.last_update === "string" ? row.last_update : null,
      ),
    }))
    : rows;
  await connection.run(
    `INSERT INTO ${name} (${names.join(", ")})
     ${table === "events" ? "OVERRIDING SYSTEM VALUE" : ""}
     SELECT ${values.join(", ")}
     FROM json_to_recordset($1::json) AS r (${types.join(", ")})
     ${
      // Of the events, only new ones come, and the outbox was emptied.
      !isTasks
        ? ""
        : `ON CONFLICT (id) DO UPDATE SET ${
          others.map((it) => `${it} = excluded.${it}`).join(", ")
        }`}`,
    [jsonOf(given)],
  );
}
