/**
 * One connection to the server, and transactions on it.
 *
 * @module
 */

import type postgres from "postgres";
import type { PostgresAddress } from "./address.ts";
import { isLost } from "./explain.ts";
import {
  type Client,
  type Connection,
  openClient,
  type SqlValue,
  storable,
} from "./connection.ts";

/** Options for {@linkcode Session.transaction}. */
export interface SessionOptions {
  /** What follows BEGIN. */
  readonly mode: string;
  /** It hangs where the server says nothing for so long, in ms. */
  readonly hangMs: number;
}

/** How long a statement by itself may take: it changes and reads no rows. */
export const ALONE_MS = 5_000;

/**
 * One connection, which is made anew where it was lost; a transaction is not. The
 * client's own transactions send a ROLLBACK into a connection that is gone, which
 * ends the process.
 */
export class Session {
  readonly #client: Client;
  /** How often it was lost. */
  #losses = 0;
  #prepare: boolean | undefined;

  constructor(address: PostgresAddress) {
    this.#client = openClient(address, {
      max: 1,
      onClose: () => this.#losses++,
    });
  }

  /** Runs `work` in a transaction; rolls back where it throws. */
  async transaction<T>(
    work: (connection: Connection & { readonly changed: number }) => Promise<T>,
    { mode, hangMs }: SessionOptions,
  ): Promise<T> {
    using watch = new Watch(hangMs, () => this.giveUp());
    const prepare = this.#prepare ??= !await hasPooler(this.#client);
    await this.#client.unsafe(`BEGIN ${mode}`);
    const losses = this.#losses;
    const connection = new TransactionConnection(this.#client, {
      prepare,
      onQuery: () => {
        // The client would take another connection, without a transaction.
        if (this.#losses !== losses) throw new LostError();
        watch.again();
      },
    });
    let result: T;
    try {
      result = await work(connection);
    } catch (error) {
      // The client never answers a query between a socket's error and its end.
      const isOpen = this.#losses === losses && !isLost(error);
      if (isOpen) await this.#client.unsafe("ROLLBACK");
      throw error;
    }
    if (this.#losses !== losses) throw new LostError();
    await this.#client.unsafe("COMMIT");
    return result;
  }

  /** A statement by itself, that takes a moment. */
  async run(sql: string, values: readonly string[]): Promise<void> {
    using _ = new Watch(ALONE_MS, () => this.giveUp());
    await this.#client.unsafe(sql, [...values], { prepare: false });
  }

  /** Waits for nothing: what is under way fails. */
  giveUp(): void {
    this.#client.end({ timeout: 0 });
  }

  async close(): Promise<void> {
    await this.#client.end({ timeout: 5 });
  }
}

/** The transaction's connection is gone. */
class LostError extends Error {
  readonly code = "CONNECTION_CLOSED";

  constructor() {
    super("connection closed");
  }
}

/**
 * Whether statements can't be prepared: a pooler between gives each transaction
 * another connection, which knows nothing of them. It gives itself away, because
 * the number that it told is not the server's process.
 */
async function hasPooler(client: Client): Promise<boolean> {
  const rows = await client.unsafe<{ pid: number }[]>(
    "SELECT pg_backend_pid() AS pid",
  );
  const { state } = rows as unknown as { state: { pid: number } };
  return rows[0]?.pid !== state.pid;
}

interface TransactionOptions {
  /** Whether the server is to remember statements. */
  readonly prepare: boolean;
  /** Called before each statement, and with each answer. */
  readonly onQuery: () => void;
}

/** The connection of a transaction. */
class TransactionConnection implements Connection {
  readonly #client: Client;
  readonly #options: TransactionOptions;
  /** How many rows were changed. */
  changed = 0;

  constructor(client: Client, options: TransactionOptions) {
    this.#client = client;
    this.#options = options;
  }

  async rows<T>(sql: string, values: readonly SqlValue[] = []): Promise<T[]> {
    const rows = await this.#run(sql, values);
    if (rows.command !== "SELECT") this.changed += rows.count || 0;
    return [...rows] as T[];
  }

  async run(sql: string, values: readonly SqlValue[] = []): Promise<number> {
    const { count } = await this.#run(sql, values);
    this.changed += count || 0; // What makes a table counts nothing.
    return count || 0;
  }

  async *sets<T>(
    sql: string,
    values: readonly SqlValue[],
    size: number,
  ): AsyncGenerator<T[]> {
    for await (const rows of this.#query(sql, values).cursor(size)) {
      this.#options.onQuery();
      yield [...rows] as T[];
    }
  }

  async #run(sql: string, values: readonly SqlValue[]) {
    const rows = await this.#query(sql, values);
    this.#options.onQuery();
    return rows;
  }

  #query(sql: string, values: readonly SqlValue[]) {
    const bound = values.map((it) =>
      typeof it === "string" ? storable(it) : it
    );
    this.#options.onQuery();
    return this.#client.unsafe(sql, bound, {
      prepare: this.#options.prepare,
      simple: false,
    } as postgres.UnsafeQueryOptions);
  }
}

/** Notices that nothing comes any more. */
class Watch implements Disposable {
  readonly #ms: number;
  readonly #onLate: () => void;
  #timer: ReturnType<typeof setTimeout>;

  constructor(ms: number, onLate: () => void) {
    this.#ms = ms;
    this.#onLate = onLate;
    this.#timer = setTimeout(onLate, ms);
  }

  again(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#onLate, this.#ms);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
