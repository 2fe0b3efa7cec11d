/**
 * A PostgreSQL store for the suite of all stores, and a way in for other programs.
 *
 * @module
 */

import { parsePostgresAddress } from "../../../lib/store/postgres/address.ts";
import {
  type Client,
  openClient,
  type SqlValue,
} from "../../../lib/store/postgres/connection.ts";
import {
  openPostgresStore,
  type PostgresStoreOptions,
} from "../../../lib/store/postgres/store.ts";
import { sharedServer } from "../../support/postgres_server.ts";
import type { StoreUnderTest } from "../conformance/subject.ts";

/** Another program, which sees the store's tables as its own. */
export class Backdoor implements AsyncDisposable {
  readonly #client: Client;

  constructor(address: string) {
    this.#client = openClient(parsePostgresAddress(address), { max: 1 });
  }

  async ask<T>(sql: string, values: readonly SqlValue[] = []): Promise<T[]> {
    await this.#client.unsafe("SET search_path TO agent_runner");
    return [...await this.#client.unsafe(sql, [...values])] as T[];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end({ timeout: 5 });
  }
}

/** Makes a trigger that refuses another state or lease of a task. */
const REFUSE = `
  CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF NEW.id::text = ANY (TG_ARGV) AND (NEW.status <> OLD.status
      OR NEW.lease_id IS DISTINCT FROM OLD.lease_id) THEN
      RAISE EXCEPTION 'the row is refused';
    END IF;
    RETURN NEW;
  END $$`;

/** A store in a database whose tables are new. */
export async function openSubject(
  options: PostgresStoreOptions = {},
): Promise<StoreUnderTest> {
  const address = sharedServer().address();
  const backdoor = new Backdoor(address);
  await backdoor.ask("DROP SCHEMA IF EXISTS agent_runner CASCADE");
  const problems: string[] = [];
  let aheadMs = 0;
  const store = await openPostgresStore(address, {
    onProblem: (message) => problems.push(message),
    aheadMs: () => aheadMs,
    ...options,
  });
  return {
    store,
    problems,
    kept: (text) => text.replaceAll("\0", "\ufffd"),
    elapse: (ms) => {
      aheadMs += ms;
      return Promise.resolve();
    },
    async now() {
      const [row] = await backdoor.ask<{ at: Date }>(
        "SELECT clock_timestamp() AS at",
      );
      return new Date((row?.at.getTime() ?? NaN) + aheadMs);
    },
    async changeTask(id, { state, traceText }) {
      await backdoor.ask(
        `UPDATE agent_tasks SET status = coalesce($2, status),
           last_update = CASE WHEN $3 THEN $4 ELSE last_update END
         WHERE id = $1::uuid`,
        [id, state ?? null, traceText !== undefined, traceText ?? null],
      );
    },
    async referTo(id) {
      await backdoor.ask(
        `CREATE TABLE IF NOT EXISTS reviews
           (task uuid REFERENCES agent_tasks (id))`,
      );
      await backdoor.ask("INSERT INTO reviews VALUES ($1::uuid)", [id]);
    },
    async refuseWrites(id) {
      await backdoor.ask(REFUSE);
      // An argument of a trigger can't be bound; an id is one word.
      await backdoor.ask(
        `CREATE TRIGGER "refuse_${id}" BEFORE UPDATE ON agent_tasks
         FOR EACH ROW EXECUTE FUNCTION refuse('${id}')`,
      );
    },
    async storedTextOf(id) {
      const rows = await backdoor.ask(
        `SELECT t::text AS text FROM agent_tasks t WHERE id = $1::uuid
         UNION ALL
         SELECT e::text FROM agent_task_events e WHERE task_id = $1::uuid
         ORDER BY 1`,
        [id],
      );
      return JSON.stringify(rows);
    },
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await backdoor[Symbol.asyncDispose]();
    },
  };
}
