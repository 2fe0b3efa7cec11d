/**
 * A DuckDB store for the suite of all stores, with a clock of its own and a way in
 * for other programs.
 *
 * @module
 */

import { systemClock } from "../../../lib/base/clock.ts";
import {
  connectDuckDb,
  type Connection,
  type SqlValue,
} from "../../../lib/store/duckdb/connection.ts";
import {
  type DuckDbStoreOptions,
  openDuckDbStore,
} from "../../../lib/store/duckdb/store.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import type { StoreUnderTest } from "../conformance/subject.ts";

/** The types that HandsFree's tables have had for their times. */
export const TIME_TYPES = ["TIMESTAMPTZ", "TIMESTAMP"] as const;

/** The table as HandsFree makes it. */
export function handsFreeTable(type: (typeof TIME_TYPES)[number]): string {
  return `CREATE TABLE agent_tasks (
    id UUID PRIMARY KEY,
    user_id UUID NOT NULL,
    provider TEXT NOT NULL,
    repo_full_name TEXT,
    issue_number INTEGER,
    pr_number INTEGER,
    instruction TEXT,
    status TEXT NOT NULL,
    last_update TEXT,
    created_at ${type} NOT NULL DEFAULT now(),
    updated_at ${type} NOT NULL DEFAULT now()
  )`;
}

/**
 * Stands still until a test moves it. A store that waits for its file, or for
 * others to have it, waits all the same; a hundred times as fast.
 */
class StoreClock extends FakeClock {
  override sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(ms / 100, signal);
  }
}

/** Options for {@linkcode openInFolder}. */
export interface FolderOptions extends DuckDbStoreOptions {
  /** Makes the table before the store is opened. */
  readonly table?: string;
}

/** A store in a file of its own. */
export async function openInFolder(
  { table, ...options }: FolderOptions = {},
): Promise<StoreUnderTest> {
  const folder = await Deno.makeTempDir({ prefix: "duckdb_store_test_" });
  const path = `${folder}/tasks.duckdb`;
  if (table !== undefined) {
    const connection = await connectDuckDb(path);
    await connection.run(table);
    connection.close();
  }
  const subject = await openSubject(path, options);
  return {
    ...subject,
    async [Symbol.asyncDispose]() {
      await subject[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** A store there. */
export async function openSubject(
  path: string,
  options: DuckDbStoreOptions = {},
): Promise<StoreUnderTest> {
  const clock = new StoreClock();
  const backdoor = new Backdoor();
  const problems: string[] = [];
  const store = await openDuckDbStore(path, {
    clock,
    onProblem: (message) => problems.push(message),
    ...options,
    connect: async (path) => backdoor.behind(await connectDuckDb(path)),
  });
  /** What others do happens in the transaction of a read. */
  async function ask(
    sql: string,
    values: readonly SqlValue[] = [],
  ): Promise<string> {
    const [answer] = await Promise.all([
      backdoor.ask(sql, values),
      store.admin.count(),
    ]);
    return answer;
  }
  async function referTo(id: string): Promise<void> {
    await ask(
      `CREATE TABLE IF NOT EXISTS reviews
         (task UUID REFERENCES agent_tasks (id))`,
    );
    await ask("INSERT INTO reviews VALUES ($1::UUID)", [id]);
  }
  return {
    store,
    problems,
    kept: (text) => text,
    elapse: (ms) => clock.advance(ms),
    now: () => Promise.resolve(clock.now()),
    async changeTask(id, { state, traceText }) {
      await ask(
        `UPDATE agent_tasks SET
           status = coalesce($2, status),
           last_update = CASE WHEN $3 THEN $4 ELSE last_update END
         WHERE id = $1::UUID`,
        [id, state ?? null, traceText !== undefined, traceText ?? null],
      );
    },
    referTo,
    async refuseWrites(id) {
      // DuckDB replaces a row whose indexed column changes, and so refuses to
      // change one that another table refers to.
      await referTo(id);
      for (const column of ["status", "lease_id"]) {
        await ask(
          `CREATE INDEX IF NOT EXISTS by_${column} ON agent_tasks (${column})`,
        );
      }
    },
    storedTextOf: (id) =>
      ask(
        `SELECT to_json(list(text)) FROM (
           SELECT t::TEXT AS text FROM agent_tasks t WHERE id = $1::UUID
           UNION ALL
           SELECT e::TEXT FROM agent_task_events e WHERE task_id = $1::UUID
           ORDER BY 1)`,
        [id],
      ),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

/**
 * Runs statements as another program would, but on the store's own connection:
 * a second one to the same file in one process would break DuckDB's lock.
 */
class Backdoor {
  #waiting: (() => Promise<void>)[] = [];
  #connection: Connection | undefined;

  /** Runs a statement before the next commit. */
  ask(sql: string, values: readonly SqlValue[]): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(async () => {
        const connection = this.#connection;
        if (!connection) return reject(new Error("No connection"));
        const answer = /^\s*SELECT/.test(sql)
          ? connection.json(sql, values)
          : connection.run(sql, values);
        await answer.then((value) => resolve(JSON.stringify(value)), reject);
      });
    });
  }

  behind(connection: Connection): Connection {
    this.#connection = connection;
    return overriding(connection, {
      run: async (sql, values) => {
        if (sql === "COMMIT") {
          for (const work of this.#waiting.splice(0)) await work();
        }
        return await connection.run(sql, values);
      },
    });
  }
}

/** A connection some of whose methods are others. */
export function overriding(
  connection: Connection,
  overrides: Partial<Connection>,
): Connection {
  return new Proxy(connection, {
    get(target, property: keyof Connection) {
      const value = overrides[property] ?? target[property];
      return typeof value === "function" && !overrides[property]
        ? value.bind(target)
        : value;
    },
  });
}
