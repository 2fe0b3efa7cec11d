/**
 * The narrow connection that all SQL goes through, and the only place that opens
 * the database file.
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
import { DatabaseBusyError } from "../../base/errors.ts";
import { EMPTY_FILE, explainDuckDbError } from "./explain.ts";
import { assertWalIsOne, statOf } from "./file.ts";

/** A value that can be bound to a statement or appended to a column. */
export type SqlValue = string | number | bigint | boolean | null;

/** A column to append: its type and one value for each row. */
export interface Column {
  readonly type: "text" | "integer" | "bigint" | "boolean";
  readonly values: readonly SqlValue[];
}

/** What the store needs of a database connection; tests put a stub here. */
export interface Connection {
  /**
   * Has a statement run together with the next one, before it. Each answer that
   * is waited for lasts until the event loop comes round: a millisecond under
   * load. Where the statement fails, the next one does. {@linkcode append} does
   * not count: what it adds to temporary tables needs no transaction.
   */
  defer(sql: string, values?: readonly SqlValue[]): void;
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
export interface Connect {
  (path: string): Promise<Connection>;
  /** Makes ready what the next one needs. */
  readonly prepare?: () => void;
  /** Gives up what was made ready and not used. */
  readonly dispose?: () => Promise<void>;
}

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
  let connection: DuckDBConnection | undefined;
  try {
    if (statOf(path)?.size === 0) throw new Error(EMPTY_FILE.source);
    await assertWalIsOne(path);
    instance = await takeInstance();
    connection = await instance.connect();
    await connection.run(
      // TIMESTAMP columns hold UTC; without this, local time is put into them.
      "SET TimeZone = 'UTC';" +
        `ATTACH ${literal(path)} AS agent_runner (TYPE duckdb);` +
        "USE agent_runner",
    );
    return new DuckDbConnection(instance, connection);
  } catch (error) {
    connection?.closeSync(); // An instance lives as long as its connections.
    const explained = explainDuckDbError(error, path);
    // It is tried again in a moment.
    if (explained instanceof DatabaseBusyError && instance && !spare) {
      spare = Promise.resolve(instance);
    } else instance?.closeSync();
    throw explained;
  }
}

/**
 * A DuckDB that no file is attached to yet. Making one takes 10 ms, attaching a
 * file 2. None is used for a second file: closing it all lets go of everything.
 */
let spare: Promise<DuckDBInstance> | undefined;

connectDuckDb.prepare = () => {
  spare ??= createInstance();
  spare.catch(() => {}); // Whoever takes it is told.
};

connectDuckDb.dispose = async () => {
  const instance = spare;
  spare = undefined;
  // Where it could not be made, there is nothing to close.
  (await instance?.catch(() => {}))?.closeSync();
};

function takeInstance(): Promise<DuckDBInstance> {
  const instance = spare ?? createInstance();
  spare = undefined;
  return instance;
}

function createInstance(): Promise<DuckDBInstance> {
  return DuckDBInstance.create(":memory:", {
    // The defaults are 80% of the memory, and extensions from the network.
    memory_limit: "256MB",
    threads: "1",
    checkpoint_threshold: "128MB",
    autoinstall_known_extensions: "false",
    autoload_known_extensions: "false",
  });
}

class DuckDbConnection implements Connection {
  readonly #chunks = new Map<string, DuckDBDataChunk>();
  readonly #statements = new Map<string, DuckDBPreparedStatement>();
  #deferred: string[] = [];

  constructor(
    readonly instance: DuckDBInstance,
    readonly connection: DuckDBConnection,
  ) {}

  defer(sql: string, values: readonly SqlValue[] = []): void {
    this.#deferred.push(withLiterals(sql, values));
  }

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
    // Its own `getRows` waits twice.
    const rows = result.chunkCount > 0 ? result.getChunk(0).getRows() : [];
    const [[text] = []] = rows;
    return typeof text === "string" ? text : null;
  }

  /**
   * Waits once for DuckDB. Its own `run` waits three times where there are
   * values, and each wait lasts until the event loop comes round.
   */
  async #execute(
    sql: string,
    values: readonly SqlValue[] = [],
  ): Promise<DuckDBMaterializedResult> {
    if (this.#deferred.length > 0) {
      const deferred = this.#deferred.join(";");
      this.#deferred = [];
      if (values.every(isShort)) {
        const last = withLiterals(sql, values);
        return await this.connection.run(`${deferred};${last}`);
      }
      await this.connection.run(deferred);
    }
    if (values.length === 0) return await this.connection.run(sql);
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

/** Statements in a row can't be prepared, so their values become part of them. */
function withLiterals(sql: string, values: readonly SqlValue[]): string {
  return sql.replace(/\$(\d+)/g, (_, number) => literal(values[number - 1]));
}

/**
 * DuckDB's parser takes time with the square of a text's length where there are
 * quotes in it: 1.4 s for 700 kB.
 */
const MOST_LITERAL_CHARACTERS = 1_000;

function isShort(value: SqlValue): boolean {
  return typeof value !== "string" || value.length <= MOST_LITERAL_CHARACTERS;
}

function literal(value: SqlValue | undefined): string {
  if (typeof value !== "string") return String(value);
  const text = `'${value.replaceAll("'", "''")}'`;
  // The text of a statement ends at a NUL.
  return text.includes("\0")
    ? `(${text.replaceAll("\0", "' || chr(0) || '")})`
    : text;
}
