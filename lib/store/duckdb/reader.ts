/**
 * A database that is open to be read only: no other file, no setting and no
 * extension is within reach of what is asked of it.
 *
 * @module
 */

import {
  type DuckDBConnection,
  DuckDBDecimalValue,
  DuckDBInstance,
  type DuckDBPreparedStatement,
  type DuckDBResultReader,
  DuckDBTypeId,
  type DuckDBValueConverter,
  JsonDuckDBValueConverter,
  StatementType,
} from "duckdb";
import { backoffMs } from "../../base/backoff.ts";
import type { Clock } from "../../base/clock.ts";
import { DatabaseBusyError, messageOf, UsageError } from "../../base/errors.ts";
import { formatSpan } from "../../base/figures.ts";
import { track } from "../../base/under_way.ts";
import type { JsonValue } from "../../task/task.ts";
import type { QueryOptions, QueryResult, Reader } from "../contract.ts";
import { bound, type SqlValue } from "./connection.ts";
import { assertDatabaseExists, explainDuckDbError } from "./explain.ts";
import { assertWalIsOne } from "./file.ts";
import { CREATE_TASKS_VIEW } from "./rows.ts";

/** Options for {@linkcode openDuckDbReader}. */
export interface ReaderOptions {
  readonly clock: Clock;
  /** How long to wait while another process holds the file. */
  readonly waitMs: number;
}

/**
 * More than a runner has: DuckDB has 2,048 rows at once, each with its trace in
 * several forms.
 */
const MEMORY = "2GB";

/** Mostly a runner has just written something, and lets go in a moment. */
const BUSY_BACKOFF = { baseMs: 4, maxMs: 24 };

/**
 * Opens the database at a path to be read, as soon as nobody writes to it.
 *
 * @throws {DatabaseBusyError} where another process holds the file for longer.
 * @throws {DatabaseError} where it can't be opened for another reason.
 */
export async function openDuckDbReader(
  path: string,
  { clock, waitMs }: ReaderOptions,
): Promise<DuckDbReader> {
  const deadline = clock.monotonic() + waitMs;
  for (let attempt = 1;; attempt++) {
    try {
      return await open(path);
    } catch (error) {
      const isLate = clock.monotonic() >= deadline;
      if (!(error instanceof DatabaseBusyError) || isLate) throw error;
    }
    await clock.sleep(backoffMs(attempt, BUSY_BACKOFF));
  }
}

async function open(path: string): Promise<DuckDbReader> {
  assertDatabaseExists(path);
  let instance: DuckDBInstance | undefined;
  // Of its own: two that read at the same time would share the usual folder.
  const spill = await Deno.makeTempDir({ prefix: "agent-runner-sql-" });
  try {
    await assertWalIsOne(path);
    instance = await track(DuckDBInstance.create(path, {
      access_mode: "READ_ONLY",
      memory_limit: MEMORY,
      threads: "1",
      temp_directory: spill,
      max_temp_directory_size: "2GB",
      autoinstall_known_extensions: "false",
      autoload_known_extensions: "false",
    }));
    const connection = await track(instance.connect());
    // The last, which nobody can take back, shuts the others in.
    await track(connection.run(
      `SET TimeZone = 'UTC'; SET allow_persistent_secrets = false;
       SET enable_external_access = false; SET lock_configuration = true`,
    ));
    return new DuckDbReader(instance, connection, spill);
  } catch (error) {
    instance?.closeSync();
    await Deno.remove(spill, { recursive: true });
    throw explainDuckDbError(error, path);
  }
}

/** The {@linkcode Reader} of a DuckDB file. */
export class DuckDbReader implements Reader {
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;
  readonly #spill: string;

  constructor(
    instance: DuckDBInstance,
    connection: DuckDBConnection,
    spill: string,
  ) {
    this.#instance = instance;
    this.#connection = connection;
    this.#spill = spill;
  }

  async query(
    question: string,
    { limit, timeoutMs }: QueryOptions,
  ): Promise<QueryResult> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#connection.interrupt();
    }, timeoutMs);
    try {
      const statement = await track(this.#prepare(question));
      const reader = await track(statement.streamAndReadUntil(limit + 1));
      return resultOf(reader, limit);
    } catch (error) {
      throw explainQueryError(error, isLate ? timeoutMs : undefined);
    } finally {
      clearTimeout(timer);
    }
  }

  /** A table of somebody's that is called `tasks` wins over our view. */
  async #prepare(question: string): Promise<DuckDBPreparedStatement> {
    try {
      return await this.#prepareToRead(question);
    } catch (error) {
      if (!NO_TASKS_VIEW.test(messageOf(error))) throw error;
      await this.#connection.run(CREATE_TASKS_VIEW);
      return await this.#prepareToRead(question);
    }
  }

  /** Only what reads: DuckDB lets COPY write into a database that is read only. */
  async #prepareToRead(question: string): Promise<DuckDBPreparedStatement> {
    const statement = await this.#prepareOne(question);
    const { statementType } = statement.statementType === StatementType.EXPLAIN
      ? await this.#prepareOne(question.replace(EXPLAIN, ""))
      : statement;
    if (statementType === StatementType.SELECT) return statement;
    throw new UsageError(`Cannot run this: ${READS_ONLY}`);
  }

  async #prepareOne(question: string): Promise<DuckDBPreparedStatement> {
    const statements = await this.#connection.extractStatements(question);
    if (statements.count === 1) return await statements.prepare(0);
    throw new UsageError(
      PIVOT.test(question)
        ? "Cannot run this: which columns there are is not known. Name them: " +
          "PIVOT tasks ON state IN ('completed', 'failed') USING count(*)"
        : `Cannot ask ${statements.count} questions at once. ` +
          "Ask one after the other.",
    );
  }

  /** Runs a query of our own whose only value is a JSON text, and parses that. */
  async json<T>(sql: string, values: readonly SqlValue[] = []) {
    const reader = await track(
      this.#connection.runAndReadAll(sql, bound(values)),
    );
    const text = reader.getRows()[0]?.[0];
    return typeof text === "string" ? JSON.parse(text) as T : null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection.closeSync();
    this.#instance.closeSync();
    await Deno.remove(this.#spill, { recursive: true });
  }
}

const NO_TASKS_VIEW = /Table with name tasks does not exist/i;

/**
 * DuckDB doesn't tell what is explained: what follows is asked by itself. No
 * comment is skipped: one that we read in another way could hide a COPY.
 */
const EXPLAIN =
  /^\s*EXPLAIN(?:\s+ANALYZE(?=\s)|\s*\(\s*\w+(?:\s+\w+)?(?:\s*,\s*\w+(?:\s+\w+)?)*\s*\))?(?=[\s(])/i;

/** DuckDB makes two statements of it, the first of which writes. */
const PIVOT = /\bPIVOT\b/i;

const READS_ONLY = "the database is open to be read only, by SELECT and by " +
  "EXPLAIN before it, with no comment in front. Tasks are changed by the other commands: create, cancel, retry, answer, prune. " +
  "agent-runner export writes files.";

const NUMBERS = new Set([
  DuckDBTypeId.TINYINT,
  DuckDBTypeId.SMALLINT,
  DuckDBTypeId.INTEGER,
  DuckDBTypeId.BIGINT,
  DuckDBTypeId.HUGEINT,
  DuckDBTypeId.UTINYINT,
  DuckDBTypeId.USMALLINT,
  DuckDBTypeId.UINTEGER,
  DuckDBTypeId.UBIGINT,
  DuckDBTypeId.UHUGEINT,
  DuckDBTypeId.FLOAT,
  DuckDBTypeId.DOUBLE,
  DuckDBTypeId.DECIMAL,
]);

/** Numbers stay numbers; the library would make texts of the long ones. */
const toJson: DuckDBValueConverter<JsonValue> = (value, type, converter) =>
  typeof value === "bigint"
    ? value
    : value instanceof DuckDBDecimalValue
    ? value.toDouble()
    : JsonDuckDBValueConverter(
      value,
      type,
      converter as typeof JsonDuckDBValueConverter,
    );

function resultOf(reader: DuckDBResultReader, limit: number): QueryResult {
  const rows = reader.convertRows(toJson);
  return {
    columns: reader.deduplicatedColumnNames().map((name, index) => ({
      name,
      isNumber: NUMBERS.has(reader.columnTypeId(index)),
    })),
    rows: rows.slice(0, limit),
    hasMore: rows.length > limit,
  };
}

function explainQueryError(error: unknown, lateMs: number | undefined): Error {
  if (error instanceof UsageError) return error;
  const message = messageOf(error);
  if (lateMs !== undefined && /interrupt/i.test(message)) {
    return new UsageError(
      `Cannot answer within ${formatSpan(lateMs)}. ` +
        "Ask for less, or give a longer --timeout.",
      { cause: error },
    );
  }
  const known = EXPLANATIONS.find(([pattern]) => pattern.test(message));
  return new UsageError(
    known
      ? `Cannot run this: ${known[1]}`
      : `Cannot run this: ${
        message.replace("Failed to extract statements: ", "")
          .replaceAll("\n", "\n  ")
      }`,
    { cause: error },
  );
}

const EXPLANATIONS: readonly (readonly [RegExp, string])[] = [
  [
    /Error in native callback/,
    "there is no question in it. Give one: FROM tasks LIMIT 5",
  ],
  [/read-only mode/i, READS_ONLY],
  [
    /file system operations are disabled|configuration has been locked/i,
    "only the tables of the database can be asked: no other file, setting or " +
    "extension. agent-runner export writes files.",
  ],
  [
    /Out of Memory|max_temp_directory_size/i,
    `it takes more than ${MEMORY} of memory and 2 GB of disk. Ask for less.`,
  ],
];
