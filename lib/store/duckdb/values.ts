/**
 * Sets of rows as the values of one statement.
 *
 * @module
 */

import type { SqlValue } from "./connection.ts";

/** Collects the values of a statement; each becomes a `$n` in its text. */
export class Values {
  readonly list: SqlValue[] = [];

  bind(value: SqlValue): string {
    return `$${this.list.push(value)}`;
  }

  time(date: Date): string {
    return `${this.bind(date.toISOString())}::TIMESTAMPTZ`;
  }

  /** The ids of a set, for `IN`. */
  ids(ids: readonly string[]): string {
    return `(SELECT unnest(${this.bind(JSON.stringify(ids))}::JSON::UUID[]))`;
  }

  /**
   * A SELECT that gives the rows, each column with DuckDB's type: as one JSON text,
   * or as one value where all rows have the same.
   */
  rows(
    columns: Readonly<Record<string, string>>,
    rows: readonly Readonly<Record<string, SqlValue>>[],
  ): string {
    const names = Object.keys(columns);
    const [first] = rows;
    let hasList = false;
    const expressions = names.map((name, index) => {
      const value = first?.[name] ?? null;
      // Without a list, a SELECT gives one row.
      const isLast = index === names.length - 1;
      const mayBeOne = !isLast || hasList || rows.length === 1;
      const isSame = mayBeOne && rows.every((row) => row[name] === value);
      hasList ||= !isSame;
      const type = columns[name];
      // With names: DuckDB would make one of the value, which takes time with the
      // square of a text's length where there are quotes in it.
      return isSame
        ? `${this.bind(value)}::${type} AS ${name}`
        : `unnest(from_json(${
          this.bind(JSON.stringify(rows.map((row) => row[name])))
        }, '["${type}"]')) AS ${name}`;
    });
    return `SELECT ${expressions.join(", ")}`;
  }
}
