/**
 * Sets of rows as the values of one statement.
 *
 * @module
 */

import type { SqlValue } from "./connection.ts";

/** A column of a set: its type in DuckDB, and a value for each row. */
export interface Column {
  readonly type: string;
  readonly values: readonly SqlValue[];
}

/** Collects the values of a statement; each becomes a `$n` in its text. */
export class Values {
  readonly list: SqlValue[] = [];

  bind(value: SqlValue): string {
    return `$${this.list.push(value)}`;
  }

  time(date: Date): string {
    return `${this.bind(date)}::TIMESTAMPTZ`;
  }

  /** UUIDs, one for each row. As JSON, they would take twice the time. */
  ids(ids: readonly string[]): string {
    return `unnest(string_split(nullif(${
      this.bind(ids.join())
    }, ''), ',')::UUID[])`;
  }

  /**
   * The expressions of a SELECT that gives rows: `ids` as `id`, and beside it each
   * column as one JSON text, or as one value where all rows have the same.
   */
  rows(ids: readonly string[], columns: Readonly<Record<string, Column>>) {
    const expressions = Object.entries(columns).map(([name, column]) => {
      const { type, values } = column;
      const [first = null] = values;
      // With names: DuckDB would make one of the value, which takes time with the
      // square of a text's length where there are quotes in it.
      return values.every((value) => value === first)
        ? `${this.bind(wellFormed(first))}::${type} AS ${name}`
        : `unnest(from_json_strict(${
          this.bind(JSON.stringify(values.map(wellFormed)))
        }, '["${type}"]')) AS ${name}`;
    });
    return [`${this.ids(ids)} AS id`, ...expressions].join(", ");
  }
}

/** DuckDB's JSON has no half characters. */
function wellFormed(value: SqlValue): SqlValue {
  return typeof value === "string" ? value.toWellFormed() : value;
}
