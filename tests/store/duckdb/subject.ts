/**
 * A DuckDB store for the suite of all stores, with a way in for another program.
 *
 * @module
 */

import {
  connectDuckDb,
  type Connection,
  type SqlValue,
} from "../../../lib/store/duckdb/connection.ts";
import {
  type DuckDbStoreOptions,
  type DuckDbTaskStore,
  openDuckDbStore,
} from "../../../lib/store/duckdb/store.ts";
import type { StoreUnderTest } from "../conformance.ts";

/** A store in DuckDB that is tested. */
export interface DuckDbSubject extends StoreUnderTest {
  readonly store: DuckDbTaskStore;
}

/** A store in a file of its own. */
export async function openInFolder(
  options: DuckDbStoreOptions,
): Promise<DuckDbSubject> {
  const folder = await Deno.makeTempDir({ prefix: "duckdb_store_test_" });
  const subject = await openSubject(`${folder}/tasks.duckdb`, options);
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
  options: DuckDbStoreOptions,
): Promise<DuckDbSubject> {
  const backdoor = new Backdoor();
  const store = await openDuckDbStore(path, {
    ...options,
    connect: async (path) => backdoor.behind(await connectDuckDb(path)),
  });
  async function ask(
    sql: string,
    values: readonly SqlValue[],
  ): Promise<string> {
    const answer = backdoor.ask(sql, values);
    await store.countByState();
    return await answer;
  }
  return {
    store,
    async changeTask(id, { state, traceText }) {
      await ask(
        `UPDATE agent_tasks SET
           status = coalesce($2, status),
           last_update = CASE WHEN $3 THEN $4 ELSE last_update END
         WHERE id = $1::UUID`,
        [id, state ?? null, traceText !== undefined, traceText ?? null],
      );
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
