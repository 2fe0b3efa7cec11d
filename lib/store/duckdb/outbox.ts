/**
 * The outbox of webhooks: a place in the history for each receiver, and a row
 * for each event that it has not got yet.
 *
 * @module
 */

import type {
  EndpointStatus,
  Exchange,
  ExchangeOptions,
  Outbox,
  Subscription,
} from "../contract.ts";
import { recordResults } from "../sql/deliveries.ts";
import type { Connection } from "./connection.ts";
import type { Database } from "./database.ts";
import {
  findDue,
  isWanted,
  leaseDue,
  RESULTS,
  takeNew,
  wantedOf,
} from "./deliveries.ts";
import { dateOf } from "./rows.ts";

/** The tables, which a file has as soon as there is a receiver. */
export const OUTBOX_TABLES = [
  `CREATE TABLE IF NOT EXISTS agent_webhook_endpoints (
     endpoint TEXT NOT NULL,
     last_event_id BIGINT NOT NULL,
     seen_at TIMESTAMPTZ NOT NULL,
     gone_at TIMESTAMPTZ,
     failures INTEGER NOT NULL DEFAULT 0,
     failing_since TIMESTAMPTZ,
     last_success_at TIMESTAMPTZ,
     last_error_at TIMESTAMPTZ,
     last_error TEXT)`,
  `CREATE TABLE IF NOT EXISTS agent_webhook_deliveries (
     endpoint TEXT NOT NULL,
     event_id BIGINT NOT NULL,
     task_id UUID NOT NULL,
     tries INTEGER NOT NULL DEFAULT 0,
     next_at TIMESTAMPTZ,
     leased_until TIMESTAMPTZ,
     given_up_at TIMESTAMPTZ,
     error TEXT)`,
];

/** An {@linkcode Outbox} in a DuckDB file. */
export class DuckDbOutbox implements Outbox {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  register(subscriptions: readonly Subscription[]): Promise<void> {
    const endpoints = JSON.stringify(
      subscriptions.map(({ endpoint }) => endpoint),
    );
    return this.#database.transaction(async (connection, at) => {
      for (const table of OUTBOX_TABLES) await connection.run(table);
      await connection.run(
        `DELETE FROM agent_webhook_endpoints WHERE gone_at IS NOT NULL
           AND endpoint IN (SELECT unnest($1::JSON::TEXT[]))`,
        [endpoints],
      );
      await connection.run(
        `INSERT INTO agent_webhook_endpoints (endpoint, last_event_id, seen_at)
         SELECT endpoint, (SELECT coalesce(max(id), 0) FROM agent_task_events),
           $2::TIMESTAMPTZ
         FROM (SELECT unnest($1::JSON::TEXT[]) AS endpoint)
         WHERE endpoint NOT IN (SELECT endpoint FROM agent_webhook_endpoints)`,
        [endpoints, at],
      );
      await connection.run(
        `UPDATE agent_webhook_endpoints SET seen_at = $2::TIMESTAMPTZ
         WHERE endpoint IN (SELECT unnest($1::JSON::TEXT[]))`,
        [endpoints, at],
      );
    });
  }

  exchange(
    subscription: Subscription,
    options: ExchangeOptions,
  ): Promise<Exchange> {
    const { endpoint } = subscription;
    return this.#database.transaction(async (connection, at) => {
      const exchanging = { ...options, connection, endpoint, at };
      await takeNew(exchanging, subscription);
      const givenUp = await recordResults(exchanging, RESULTS);
      const failures = await connection.json<number>(
        `SELECT to_json(max(failures)) FROM agent_webhook_endpoints
         WHERE endpoint = $1`,
        [endpoint],
      ) ?? 0;
      const { ids, nextAt } = await findDue(exchanging);
      const deliveries = await leaseDue(exchanging, ids);
      const nextMs = nextAt === null ? null : nextAt - at.getTime();
      return { deliveries, nextMs, failures, givenUp };
    });
  }

  status(subscriptions: readonly Subscription[]): Promise<EndpointStatus[]> {
    return this.#database.transaction(async (connection) => {
      if (!await hasOutbox(connection)) return [];
      const statuses: EndpointStatus[] = [];
      for (const subscription of subscriptions) {
        const row = await readStatus(connection, subscription);
        if (row) statuses.push(row);
      }
      return statuses;
    });
  }
}

/** Whether there are those tables. */
export async function hasOutbox(connection: Connection): Promise<boolean> {
  const count = await connection.json<number>(
    `SELECT to_json(count(*)) FROM duckdb_tables()
     WHERE database_name = current_database()
       AND schema_name = current_schema()
       AND table_name IN
         ('agent_webhook_endpoints', 'agent_webhook_deliveries')`,
  );
  return count === 2;
}

interface StatusRow {
  readonly pending: number;
  readonly givenUp: number;
  readonly lastSuccessAt: number | null;
  readonly lastErrorAt: number | null;
  readonly lastError: string | null;
  readonly goneAt: number | null;
}

async function readStatus(
  connection: Connection,
  subscription: Subscription,
): Promise<EndpointStatus | undefined> {
  const { endpoint } = subscription;
  const row = await connection.json<StatusRow>(
    `SELECT to_json({
       pending: (SELECT count(*) FROM agent_webhook_deliveries d
           WHERE d.endpoint = $1 AND given_up_at IS NULL)
         + (SELECT count(*) FROM agent_task_events
            WHERE p.gone_at IS NULL AND id > p.last_event_id
              AND ${isWanted("$2", "$3")}),
       givenUp: (SELECT count(*) FROM agent_webhook_deliveries d
         WHERE d.endpoint = $1 AND given_up_at IS NOT NULL),
       lastSuccessAt: epoch_ms(last_success_at),
       lastErrorAt: epoch_ms(last_error_at), lastError: last_error,
       goneAt: epoch_ms(gone_at)})
     FROM agent_webhook_endpoints p WHERE endpoint = $1`,
    [endpoint, ...wantedOf(subscription)],
  );
  if (!row) return undefined;
  return {
    ...row,
    endpoint,
    lastSuccessAt: dateOf(row.lastSuccessAt),
    lastErrorAt: dateOf(row.lastErrorAt),
    goneAt: dateOf(row.goneAt),
  };
}

/**
 * Forgets receivers that no runner has served since then, and what was given up
 * before. Returns a condition for the events that nobody waits for any more.
 */
export async function pruneOutbox(
  connection: Connection,
  before: Date,
): Promise<string> {
  if (await hasOutbox(connection)) {
    const since = [before];
    await connection.run(
      "DELETE FROM agent_webhook_endpoints WHERE seen_at < $1::TIMESTAMPTZ",
      since,
    );
    await connection.run(
      `DELETE FROM agent_webhook_deliveries WHERE given_up_at < $1::TIMESTAMPTZ
         OR endpoint NOT IN (SELECT endpoint FROM agent_webhook_endpoints)`,
      since,
    );
  }
  return await deliveredCondition(connection);
}

/** A condition for the events that no receiver waits for. */
export async function deliveredCondition(
  connection: Connection,
): Promise<string> {
  if (!await hasOutbox(connection)) return "true";
  return `
    id <= coalesce((SELECT min(last_event_id) FROM agent_webhook_endpoints
                    WHERE gone_at IS NULL), id)
    AND id NOT IN (SELECT event_id FROM agent_webhook_deliveries
                   WHERE given_up_at IS NULL)`;
}
