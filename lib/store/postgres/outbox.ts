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
import { IS_SETTLED, readLast } from "./events.ts";
import { jsonOf } from "./rows.ts";

/** An {@linkcode Outbox} in a PostgreSQL database. */
export class PostgresOutbox implements Outbox {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async register(subscriptions: readonly Subscription[]): Promise<void> {
    const endpoints = jsonOf(
      subscriptions.map(({ endpoint }) => endpoint),
    );
    const named = "SELECT json_array_elements_text($1::json)";
    // A notification is a transaction too, behind which the own events are.
    await this.#database.announcements.sent();
    await this.#database.transaction(async (connection, at) => {
      const last = await readLast(connection);
      await connection.run(
        `DELETE FROM agent_webhook_endpoints
         WHERE gone_at IS NOT NULL AND endpoint IN (${named})`,
        [endpoints],
      );
      await connection.run(
        `INSERT INTO agent_webhook_endpoints
           (endpoint, last_xid, last_event_id, seen_at)
         SELECT name, $2::xid8, $3::bigint, $4::timestamptz
         FROM json_array_elements_text($1::json) AS name
         ON CONFLICT (endpoint) DO UPDATE SET seen_at = excluded.seen_at`,
        [endpoints, last.xid, last.id, at],
      );
    }, { wakes: "nobody" });
  }

  async exchange(
    subscription: Subscription,
    options: ExchangeOptions,
  ): Promise<Exchange> {
    const { endpoint } = subscription;
    const { announcements } = this.#database;
    await announcements.sent();
    const { isBehind, ...exchange } = await this.#database.transaction(
      async (connection, at) => {
        const exchanging = { ...options, connection, endpoint, at };
        const isBehind = await takeNew(exchanging, subscription);
        const givenUp = await recordResults(exchanging, RESULTS);
        const [row] = await connection.rows<{ failures: number }>(
          "SELECT failures FROM agent_webhook_endpoints WHERE endpoint = $1",
          [endpoint],
        );
        const { ids, nextAt } = await findDue(exchanging);
        const deliveries = await leaseDue(exchanging, ids);
        const nextMs = nextAt && nextAt.getTime() - at.getTime();
        const failures = row?.failures ?? 0;
        return { deliveries, nextMs, failures, givenUp, isBehind };
      },
      { wakes: "nobody" },
    );
    if (isBehind) announcements.tellAgain();
    return exchange;
  }

  async status(
    subscriptions: readonly Subscription[],
  ): Promise<EndpointStatus[]> {
    await this.#database.announcements.sent();
    return await this.#database.read(async (connection) => {
      const statuses: EndpointStatus[] = [];
      for (const subscription of subscriptions) {
        statuses.push(...await readStatus(connection, subscription));
      }
      return statuses;
    });
  }
}

function readStatus(
  connection: Connection,
  subscription: Subscription,
): Promise<EndpointStatus[]> {
  return connection.rows<EndpointStatus>(
    `SELECT p.endpoint,
       (SELECT count(*) FROM agent_webhook_deliveries d
         WHERE d.endpoint = $1 AND given_up_at IS NULL)
       + (SELECT count(*) FROM agent_task_events
         WHERE p.gone_at IS NULL AND ${IS_SETTLED}
           AND (xid, id) > (p.last_xid, p.last_event_id)
           AND ${isWanted("$2", "$3")}) AS pending,
       (SELECT count(*) FROM agent_webhook_deliveries d
         WHERE d.endpoint = $1 AND given_up_at IS NOT NULL) AS "givenUp",
       last_success_at AS "lastSuccessAt", last_error_at AS "lastErrorAt",
       last_error AS "lastError", gone_at AS "goneAt"
     FROM agent_webhook_endpoints p WHERE endpoint = $1`,
    [subscription.endpoint, ...wantedOf(subscription)],
  );
}
