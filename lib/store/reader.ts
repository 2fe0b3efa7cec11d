/**
 * Looking at a database without changing anything in it.
 *
 * @module
 */

import type { JsonValue } from "../task/task.ts";

/** Options for {@linkcode DatabaseReader.query}. */
export interface QueryOptions {
  /** Rows at most. */
  readonly limit: number;
  /** The question is given up after this time. */
  readonly timeoutMs: number;
}

/** The answer to a question. */
export interface QueryResult {
  readonly columns: readonly QueryColumn[];
  readonly rows: readonly (readonly JsonValue[])[];
  /** There are more rows than were asked for. */
  readonly hasMore: boolean;
}

/** A column of an answer. */
export interface QueryColumn {
  readonly name: string;
  readonly isNumber: boolean;
}

/** What was found in a database. Ages are in milliseconds. */
export interface Inspection {
  /** The library's version. */
  readonly version: string;
  /** Undefined where there is no such table. */
  readonly taskColumns: readonly ColumnState[] | undefined;
  readonly hasEvents: boolean;
  /** Undefined where the tables lack what it takes. */
  readonly tasks: TaskFindings | undefined;
}

/** How a column is that agent-runner needs. */
export interface ColumnState {
  readonly name: string;
  readonly state: "right" | "missing" | "wrong";
  /** `run_at is TEXT, not TIMESTAMPTZ`; empty where it is right. */
  readonly what: string;
}

/** How many tasks are in a state that someone should know of. */
export interface TaskFindings {
  readonly total: number;
  /** Created or changed in the future. */
  readonly inFuture: number;
  /** Leased for longer than a runner with these settings does. */
  readonly longLeases: number;
  /** They could run, but no runner took them. */
  readonly waiting: Aged;
  /** Running without a live lease, and due. */
  readonly abandoned: Aged;
  /** They wait for an answer. */
  readonly asking: Aged;
  /** Somebody wants them cancelled, and no runner did. */
  readonly uncancelled: Aged;
  /** In states that another program made up. */
  readonly unknownStates: readonly string[];
  /** Runners with live leases. */
  readonly runners: readonly TaskCount[];
  /** Providers of tasks that have not ended and nobody works on. */
  readonly waitingProviders: readonly TaskCount[];
}

/** How many tasks something has. */
export interface TaskCount {
  readonly name: string;
  readonly tasks: number;
}

/** Some tasks, and for how long the oldest has been so. */
export interface Aged {
  readonly count: number;
  readonly oldestMs: number;
}

/** Options for {@linkcode DatabaseReader.inspect}. */
export interface InspectOptions {
  readonly now: Date;
  /** The lease that a runner with these settings takes. */
  readonly leaseMs: number;
}

/** A database that is open to be read, and held until it is disposed of. */
export interface DatabaseReader extends AsyncDisposable {
  /**
   * Asks one question in SQL.
   *
   * @throws {UsageError} where it is no question, or has a mistake in it.
   */
  query(sql: string, options: QueryOptions): Promise<QueryResult>;
  inspect(options: InspectOptions): Promise<Inspection>;
}
