/**
 * The values of one statement.
 *
 * @module
 */

import type { SqlValue } from "./connection.ts";

/** Collects the values of a statement; each becomes a `$n` in its text. */
export class Values {
  readonly list: SqlValue[];

  constructor(...first: SqlValue[]) {
    this.list = first;
  }

  bind(value: SqlValue): string {
    return `$${this.list.push(value)}`;
  }
}
