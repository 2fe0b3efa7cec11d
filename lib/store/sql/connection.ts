/**
 * What both databases' connections have alike: enough for statements that are the
 * same in both, with their casts in lower case.
 *
 * @module
 */

/** A value that can be bound to a statement of either. */
export type SqlValue = string | number | boolean | Date | null;

/** A connection, with a transaction that is open. */
export interface SqlConnection {
  /** Runs one statement. Returns how many rows it changed. */
  run(sql: string, values?: readonly SqlValue[]): Promise<number>;
}
