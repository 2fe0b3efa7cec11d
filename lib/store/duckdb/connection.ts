/**
 * The narrow connection that all SQL goes through, and the only place that opens
 * the database file to write.
 *
 * @module
 */

import {
  type DuckDBConnection,
  DuckDBInstance,
  type DuckDBMaterializedResult,
  type DuckDBPreparedStatement,
} from "duckdb";
import { messageOf } from "../../base/errors.ts";
import { track } from "../../base/under_way.ts";
import type {
  SqlConnection,
  SqlValue as CommonValue,
} from "../sql/connection.ts";
import { EMPTY_FILE, explainDuckDbError } from "./explain.ts";
import { assertWalIsOne, statOf } from "./file.ts";

const IN_MEMORY = ":memory:";

/** A value that can be bound to a statement. */
export type SqlValue = CommonValue | bigint;

/** What the store needs of a database connection; tests put a stub here. */
export interface Connection extends SqlConnection {
  run(sql: string, values?: readonly SqlValue[]): Promise<number>;
  /**
   * Runs a query whose only value is a JSON text, and parses that. One text for
   * a whole set costs a fifth of reading the set column by column (100,000
   * rows: 130 ms for the query and `JSON.parse`, 580 ms by columns).
   */
  json<T>(sql: string, values?: readonly SqlValue[]): Promise<T | null>;
  close(): void;
}

/** Opens a connection to the database at a path. */
export type Connect = (path: string) => Promise<Connection>;

/**
 * Lets DuckDB have its default, 80% of the machine's or the container's memory. It
 * reads and writes 2,048 rows of a table at once, be their texts ever so large. What
 * RESET says holds when it is SET.
 */
export const USE_MORE_MEMORY = `RESET memory_limit;
  SET memory_limit = current_setting('memory_limit')`;

/** DuckDB's defaults are 80% of the memory, and extensions from the network. */
const OPTIONS = {
  memory_limit: "256MB",
  threads: "1",
  checkpoint_threshold: "128MB",
  autoinstall_known_extensions: "false",
  autoload_known_extensions: "false",
};

/**
 * Opens the DuckDB database at a path, and makes it where there is none.
 *
 * @throws {DatabaseBusyError} where another process holds the file.
 * @throws {DatabaseError} where it can't be opened for another reason.
 */
export function connectDuckDb(path: string): Promise<Connection> {
  return connect(path, () => openInstance(path));
}

/**
 * The same, but that nothing is logged: where the process dies before the next
 * CHECKPOINT, the file is as it was.
 */
export function connectUnlogged(path: string): Promise<Connection> {
  const name = path.replaceAll("'", "''");
  return connect(
    path,
    () => openInstance(IN_MEMORY),
    // A path can't be bound.
    `ATTACH '${name}' AS unlogged (RECOVERY_MODE no_wal_writes); USE unlogged`,
  );
}

async function connect(
  path: string,
  open: () => Promise<DuckDBInstance>,
  begin = "",
): Promise<Connection> {
  let instance: DuckDBInstance | undefined;
  let connection: DuckDBConnection | undefined;
  try {
    if (statOf(path)?.size === 0) throw new Error(EMPTY_FILE.source);
    await assertWalIsOne(path);
    instance = await open();
    connection = await track(instance.connect());
    // TIMESTAMP columns hold UTC; without this, local time is put into them.
    await track(connection.run(`SET TimeZone = 'UTC'; ${begin}`));
    await assertIsFile(connection, path);
    return new DuckDbConnection(instance, connection);
  } catch (error) {
    connection?.closeSync(); // An instance lives as long as its connections.
    instance?.closeSync();
    throw explainDuckDbError(error, path);
  }
}

/** DuckDB opens a table's file (CSV, JSON, Parquet) as a view in memory. */
async function assertIsFile(
  connection: DuckDBConnection,
  path: string,
): Promise<void> {
  if (path === IN_MEMORY) return;
  const reader = await track(connection.runAndReadAll(
    "FROM duckdb_databases() WHERE NOT internal AND path IS NOT NULL",
  ));
  if (reader.currentRowCount === 0) {
    throw new Error("not a valid DuckDB database file");
  }
}

/** To replay a log of large texts takes as much memory as to write them. */
async function openInstance(path: string): Promise<DuckDBInstance> {
  try {
    return await track(DuckDBInstance.create(path, OPTIONS));
  } catch (error) {
    if (!messageOf(error).includes("Out of Memory Error")) throw error;
  }
  const { memory_limit: _, ...rest } = OPTIONS;
  return await track(DuckDBInstance.create(path, rest));
}

/** Times as the texts that DuckDB reads them from. */
export function bound(values: readonly SqlValue[]) {
  return values.map((it) => it instanceof Date ? it.toISOString() : it);
}

class DuckDbConnection implements Connection {
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;
  readonly #statements = new Map<string, DuckDBPreparedStatement>();

  constructor(instance: DuckDBInstance, connection: DuckDBConnection) {
    this.#instance = instance;
    this.#connection = connection;
  }

  async run(sql: string, values?: readonly SqlValue[]): Promise<number> {
    const { rowsChanged } = await this.#execute(sql, values);
    return rowsChanged;
  }

  async json<T>(
    sql: string,
    values?: readonly SqlValue[],
  ): Promise<T | null> {
    const result = await this.#execute(sql, values);
    // Its own `getRows` waits twice.
    const rows = result.chunkCount > 0 ? result.getChunk(0).getRows() : [];
    const [[text] = []] = rows;
    return typeof text === "string" ? JSON.parse(text) : null;
  }

  /** Its own `run` waits three times, each until the event loop comes round. */
  async #execute(
    sql: string,
    values: readonly SqlValue[] = [],
  ): Promise<DuckDBMaterializedResult> {
    if (values.length === 0) return await track(this.#connection.run(sql));
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = await track(this.#connection.prepare(sql));
      this.#statements.set(sql, statement);
    }
    statement.bind(bound(values));
    return await track(statement.run());
  }

  close(): void {
    // The instance holds the file; closing the connection alone keeps it.
    this.#connection.closeSync();
    this.#instance.closeSync();
  }
}
