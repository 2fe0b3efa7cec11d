/**
 * Temporary tables in which statements are handed their rows.
 *
 * @module
 */

import type { Connection } from "./connection.ts";

const TABLES = {
  /** Spans of rows, and which of the outcomes is theirs. */
  incoming: `
    outcome BIGINT, first BIGINT, first_id UUID, last BIGINT, last_id UUID`,
  outcomes: `
    number BIGINT, lease_id UUID, owner TEXT, attempt INTEGER,
    from_state TEXT, state TEXT, seen TEXT, trace TEXT, keeps_lease BOOLEAN,
    returned INTEGER, run_at BIGINT, kind TEXT, detail TEXT`,
  incoming_traces: "number BIGINT, task_id UUID, trace TEXT",
  /** Tasks that may be claimed, in their order. */
  claim_window: "number BIGINT, row BIGINT",
};

type StageTable = keyof typeof TABLES;

/** A table that has had so many rows is made anew. */
const MOST_ROWS = 250_000;

const stages = new WeakMap<Connection, Stage>();

/**
 * The temporary tables of a connection. They stay for all its transactions: one
 * statement less for each. Nothing is deleted from them; each set of rows has
 * numbers of its own.
 */
export class Stage {
  static #openings = 0;
  /** Differs from that of any other connection. */
  readonly opening = ++Stage.#openings;
  readonly #connection: Connection;
  readonly #tables = new Map<StageTable, { next: number; start: number }>();

  private constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Makes the tables of a connection; to be called before it is used. */
  static async open(connection: Connection): Promise<void> {
    const names = Object.keys(TABLES) as StageTable[];
    await connection.run(names.map(createTable).join(";"));
    stages.set(connection, new Stage(connection));
  }

  static of(connection: Connection): Stage {
    const stage = stages.get(connection);
    if (!stage) throw new Error("The connection's tables were not made");
    return stage;
  }

  /**
   * Takes numbers for new rows of a table, in the transaction that is open.
   * Returns the first: each row from there on is one of them.
   */
  async reserve(name: StageTable, rows: number): Promise<number> {
    const { next, start } = this.#tables.get(name) ?? { next: 0, start: 0 };
    const isFull = next - start >= MOST_ROWS;
    if (isFull) await this.#connection.run(createTable(name));
    // Where that is rolled back, the old rows have lower numbers all the same.
    this.#tables.set(name, { next: next + rows, start: isFull ? next : start });
    return next;
  }
}

function createTable(name: StageTable): string {
  return `CREATE OR REPLACE TEMP TABLE ${name} (${TABLES[name]})`;
}
