/**
 * The narrow connection that all SQL goes through, and the only place that
 * touches the database file.
 *
 * DuckDB's lock on the file is a POSIX one: it is gone as soon as this process
 * opens and closes the file in any other way (copy, read), and then another
 * process can destroy the data. `stat` is safe. `Deno.watchFs` is not: it opens
 * and closes each file that changes in the watched folder.
 *
 * @module
 */

import {
  BIGINT,
  BOOLEAN,
  type DuckDBConnection,
  DuckDBDataChunk,
  DuckDBInstance,
  type DuckDBMaterializedResult,
  type DuckDBPreparedStatement,
  INTEGER,
  VARCHAR,
} from "duckdb";
import { existsSync } from "node:fs";
import { EMPTY_FILE, explainDuckDbError } from "./explain.ts";

/** A value that can be bound to a statement or appended to a column. */
export type SqlValue = string | number | bigint | boolean | null;

/** A column to append: its type and one value for each row. */
export interface Column {
  readonly type: "text" | "integer" | "bigint" | "boolean";
  readonly values: readonly SqlValue[];
}

/** What the store needs of a database connection; tests put a stub here. */
export interface Connection {
  /** Runs one statement. Returns how many rows it changed. */
  run(sql: string, values?: readonly SqlValue[]): Promise<number>;
  /**
   * Runs a query whose only value is a JSON text, and parses that. One text for
   * a whole set costs a fifth of reading the set column by column (100,000
   * rows: 130 ms for the query and `JSON.parse`, 580 ms by columns).
   */
  json<T>(sql: string, values?: readonly SqlValue[]): Promise<T | null>;
  /** The same, without parsing it. */
  text(sql: string, values?: readonly SqlValue[]): Promise<string | null>;
  /** Adds rows to a temporary table, by column. */
  append(table: string, columns: readonly Column[]): Promise<void>;
  close(): void;
}

/** Opens a connection to the database at a path. */
export type Connect = (path: string) => Promise<Connection>;

const COLUMN_TYPES = {
  text: VARCHAR,
  integer: INTEGER,
  bigint: BIGINT,
  boolean: BOOLEAN,
};

/** The most rows that DuckDB takes in one chunk. */
const CHUNK_ROWS = 2048;

/**
 * Opens the DuckDB database at a path, and makes it where there is none.
 *
 * @throws {DatabaseBusyError} where another process holds the file.
 * @throws {DatabaseError} where it can't be opened for another reason.
 */
export async function connectDuckDb(path: string): Promise<Connection> {
  let instance: DuckDBInstance | undefined;
  try {
    if (statOf(path)?.size === 0) throw new Error(EMPTY_FILE.source);
    await assertWalIsOne(path);
    instance = await DuckDBInstance.create(path, {
      // The defaults are 80% of the memory, and extensions from the network.
      memory_limit: "256MB",
      threads: "1",
      checkpoint_threshold: "128MB",
      autoinstall_known_extensions: "false",
      autoload_known_extensions: "false",
    });
    const connection = await instance.connect();
    // TIMESTAMP columns hold UTC; without this, local time is put into them.
    await connection.run("SET TimeZone = 'UTC'");
    return new DuckDbConnection(instance, connection);
  } catch (error) {
    instance?.closeSync();
    throw explainDuckDbError(error, path);
  }
}

/** What each write-ahead log begins with. */
const WAL_START = [0x64, 0x00, 0x62];

/** DuckDB drops one that begins with anything else, and says nothing. */
export async function assertWalIsOne(path: string): Promise<void> {
  if (path === ":memory:") return;
  const start = new Uint8Array(WAL_START.length);
  try {
    using file = await Deno.open(`${path}.wal`);
    if (await file.read(start) !== start.length) return;
  } catch {
    return; // There is none, or DuckDB says better why it can't be read.
  }
  if (WAL_START.some((byte, index) => start[index] !== byte)) {
    throw new Error("Failure while replaying WAL");
  }
}

class DuckDbConnection implements Connection {
  readonly #chunks = new Map<string, DuckDBDataChunk>();
  readonly #statements = new Map<string, DuckDBPreparedStatement>();

  constructor(
    readonly instance: DuckDBInstance,
    readonly connection: DuckDBConnection,
  ) {}

  async run(sql: string, values?: readonly SqlValue[]): Promise<number> {
    const { rowsChanged } = await this.#execute(sql, values);
    return rowsChanged;
  }

  async json<T>(
    sql: string,
    values?: readonly SqlValue[],
  ): Promise<T | null> {
    const text = await this.text(sql, values);
    return text === null ? null : JSON.parse(text);
  }

  async text(
    sql: string,
    values?: readonly SqlValue[],
  ): Promise<string | null> {
    const result = await this.#execute(sql, values);
    const [[text] = []] = await result.getRows();
    return typeof text === "string" ? text : null;
  }

  /**
   * Waits once for DuckDB. Its own `run` waits three times where there are
   * values, and each wait lasts until the event loop comes round.
   */
  async #execute(
    sql: string,
    values?: readonly SqlValue[],
  ): Promise<DuckDBMaterializedResult> {
    if (!values) return await this.connection.run(sql);
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = await this.connection.prepare(sql);
      this.#statements.set(sql, statement);
    }
    statement.bind([...values]);
    return await statement.run();
  }

  async append(table: string, columns: readonly Column[]): Promise<void> {
    const appender = await this.connection.createAppender(
      table,
      "main",
      "temp",
    );
    const chunk = this.#chunkFor(columns);
    const rows = columns[0]?.values.length ?? 0;
    for (let start = 0; start < rows; start += CHUNK_ROWS) {
      chunk.reset();
      chunk.setColumns(
        columns.map(({ values }) => values.slice(start, start + CHUNK_ROWS)),
      );
      appender.appendDataChunk(chunk);
    }
    appender.closeSync();
  }

  /** Its memory is DuckDB's, and goes only when JavaScript collects garbage. */
  #chunkFor(columns: readonly Column[]): DuckDBDataChunk {
    const key = columns.map(({ type }) => type).join();
    let chunk = this.#chunks.get(key);
    if (!chunk) {
      chunk = DuckDBDataChunk.create(
        columns.map(({ type }) => COLUMN_TYPES[type]),
      );
      this.#chunks.set(key, chunk);
    }
    return chunk;
  }

  close(): void {
    // The instance holds the file; closing the connection alone keeps it.
    this.connection.closeSync();
    this.instance.closeSync();
  }
}

/**
 * A text that changes with every commit to the file. Another process's commit
 * shows in the file or in its write-ahead log.
 */
export function fingerprintOf(path: string): string {
  return [path, `${path}.wal`].map((name) => {
    const info = statOf(name);
    return info && `${info.ino} ${info.size} ${info.mtime?.getTime()}`;
  }).join(", ");
}

/** How many bytes of write-ahead log DuckDB has not folded in. */
export function logSize(path: string): number {
  return statOf(`${path}.wal`)?.size ?? 0;
}

/**
 * In step: asking a thread to do it takes ten times as long. Asks first whether
 * it exists: an idle runner spent most of its time on the error that says no.
 */
function statOf(path: string): Deno.FileInfo | undefined {
  try {
    return existsSync(path) ? Deno.statSync(path) : undefined;
  } catch {
    return undefined; // Out of reach: opening it says why.
  }
}

/** Tells one file from another at the same path; undefined where there is none. */
export function inodeOf(path: string): number | null | undefined {
  return statOf(path)?.ino;
}
