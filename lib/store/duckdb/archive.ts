/**
 * All that a DuckDB file keeps, for another store.
 *
 * @module
 */

import { ARCHIVE, SET_ROWS, type TableOf } from "../archive.ts";
import type {
  Archive,
  ArchiveRow,
  ArchiveTable,
  Contents,
} from "../contract.ts";
import { SET_CHARACTERS } from "../sets.ts";
import type { Connection } from "./connection.ts";
import type { Database, TransactionOptions } from "./database.ts";
import { hasOutbox, OUTBOX_TABLES } from "./outbox.ts";

/** An {@linkcode Archive} of a DuckDB file. */
export class DuckDbArchive implements Archive {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  read<T>(work: (contents: Contents) => Promise<T>): Promise<T> {
    return this.#database.transaction((connection) =>
      work(new DuckDbContents(connection))
    );
  }

  async write(
    table: ArchiveTable,
    rows: readonly ArchiveRow[],
  ): Promise<void> {
    await this.#database.transaction(async (connection) => {
      if (isOfOutbox(table)) {
        for (const sql of OUTBOX_TABLES) await connection.run(sql);
      }
      await insert(connection, table, rows);
    });
  }

  async prepare(lastEvent: number): Promise<void> {
    await this.#database.transaction(async (connection) => {
      await connection.run(MARK);
      for (const table of ["dependencies", "schedules"] as const) {
        await connection.run(`DELETE FROM ${ARCHIVE[table].name}`);
      }
      if (await hasOutbox(connection)) {
        for (const table of ["endpoints", "deliveries"] as const) {
          await connection.run(`DELETE FROM ${ARCHIVE[table].name}`);
        }
      }
      // A sequence can't be set, but it can be used up.
      await connection.json(
        `SELECT to_json(max(nextval('agent_task_event_ids')))
         FROM range($1::BIGINT - (
           SELECT coalesce(last_value, 0) FROM duckdb_sequences()
           WHERE sequence_name = 'agent_task_event_ids'))`,
        [lastEvent],
      );
    });
  }

  async finish(): Promise<void> {
    await this.#database.transaction((connection) => connection.run(UNMARK));
  }

  isPartial(options?: TransactionOptions): Promise<boolean> {
    return this.#database.transaction(hasMark, options);
  }
}

/** A table that is there while the file lacks something. */
const MARK =
  "CREATE TABLE IF NOT EXISTS agent_runner_copy (unfinished BOOLEAN)";
const UNMARK = "DROP TABLE IF EXISTS agent_runner_copy";

/** Whether a copy into the file was not finished. */
export async function hasMark(
  connection: Pick<Connection, "json">,
): Promise<boolean> {
  return await connection.json<boolean>(
    `SELECT to_json(EXISTS (FROM duckdb_tables()
       WHERE database_name = current_database()
         AND schema_name = current_schema()
         AND table_name = 'agent_runner_copy'))`,
  ) ?? false;
}

function isOfOutbox(table: ArchiveTable): boolean {
  return table === "endpoints" || table === "deliveries";
}

class DuckDbContents implements Contents {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async count(table: ArchiveTable): Promise<number> {
    if (!await this.#has(table)) return 0;
    return await this.#connection.json<number>(
      `SELECT to_json(count(*)) FROM ${ARCHIVE[table].name}`,
    ) ?? 0;
  }

  async lastEvent(): Promise<ArchiveRow | undefined> {
    return await this.#event("id = (SELECT max(id) FROM agent_task_events)");
  }

  async event(id: number): Promise<ArchiveRow | undefined> {
    return await this.#event("id = $1", id);
  }

  async *rows(
    table: ArchiveTable,
    { afterEvent }: { readonly afterEvent: number },
  ): AsyncGenerator<readonly ArchiveRow[]> {
    if (!await this.#has(table)) return;
    // The order of what was created together is that of its rows.
    const order = table === "events" ? "id" : "rowid";
    for (let after = table === "events" ? afterEvent : -1;;) {
      const set = await this.#connection.json<Placed[]>(
        pageOf(ARCHIVE[table], order),
        [after, SET_ROWS],
      ) ?? [];
      const last = set.at(-1);
      if (!last) return;
      yield set.map(({ row }) => row);
      after = last.place;
    }
  }

  async #event(
    condition: string,
    ...values: number[]
  ): Promise<ArchiveRow | undefined> {
    const { name, columns } = ARCHIVE.events;
    return await this.#connection.json<ArchiveRow>(
      `SELECT to_json(${structOf(columns)}) FROM ${name}
       WHERE ${condition} LIMIT 1`,
      values,
    ) ?? undefined;
  }

  async #has(table: ArchiveTable): Promise<boolean> {
    return !isOfOutbox(table) || await hasOutbox(this.#connection);
  }
}

interface Placed {
  readonly row: ArchiveRow;
  readonly place: number;
}

/** The rows after the place $1, at most $2 and as many as fit, and one in any case. */
function pageOf({ name, columns }: TableOf, order: string): string {
  const size = Object.entries(columns)
    .filter(([, type]) => type === "text")
    .map(([column]) => `coalesce(strlen(${column}), 0)`).join(" + ") || "0";
  return `
    SELECT to_json(list({row: ${structOf(columns)}, place: place}
      ORDER BY place)) FROM (
      SELECT *, sum(size) OVER (ORDER BY place ROWS UNBOUNDED PRECEDING)
          AS total
      FROM (SELECT *, ${order} AS place, ${size} AS size FROM ${name}
        WHERE ${order} > $1 ORDER BY ${order} LIMIT $2))
    WHERE total <= ${SET_CHARACTERS} OR total = size`;
}

/** HandsFree's rows have none of these; other stores must. */
const DEFAULTS: Readonly<Record<string, string>> = {
  priority: "0",
  attempt: "0",
  questions: "0",
  rescues: "0",
  blocked: "false",
};

/** An infinite time has no place in any other store. */
const NEEDED_TIMES = ["created_at", "updated_at", "occurred_at", "seen_at"];

function structOf(columns: TableOf["columns"]): string {
  const fields = Object.entries(columns).map(([name, type]) => {
    if (type === "timestamptz") {
      const time = `CASE WHEN isfinite(${name}) THEN
        strftime(${name} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ') END`;
      return NEEDED_TIMES.includes(name)
        ? `${name}: coalesce(${time}, '1970-01-01T00:00:00.000000Z')`
        : `${name}: ${time}`;
    }
    const fallback = DEFAULTS[name];
    return fallback === undefined
      ? `${name}: ${name}`
      : `${name}: coalesce(${name}, ${fallback})`;
  });
  return `{${fields.join(", ")}}`;
}

async function insert(
  connection: Connection,
  table: ArchiveTable,
  rows: readonly ArchiveRow[],
): Promise<void> {
  const { name, columns } = ARCHIVE[table];
  const names = Object.keys(columns);
  const type = JSON.stringify([columns]);
  const given = `(SELECT unnest(from_json_strict($1, '${type}'),
    recursive := true))`;
  const json = [JSON.stringify(rows)];
  const others = names.filter((it) => it !== "id");
  await connection.run(
    `INSERT INTO ${name} (${names.join(", ")})
     SELECT ${names.join(", ")} FROM ${given} ${
      table === "tasks"
        ? `ON CONFLICT (id) DO UPDATE SET ${
          others.map((it) => `${it} = excluded.${it}`).join(", ")
        }`
        : ""
    }`,
    json,
  );
}
