/**
 * What both databases hold to in deliveries, and how they write what came of them.
 *
 * @module
 */

import type { DeliveryResult, ExchangeOptions } from "../contract.ts";
import type { SqlConnection } from "./connection.ts";

/** Events that are taken out of the history before others are delivered. */
export const MAX_PENDING = 10_000;
/** The most characters of a text that is delivered. */
export const MAX_TEXT = 10_000;
/** How often a receiver for which nothing happens is noted as still wanted. */
export const SEEN_INTERVAL_MS = 3_600_000;

/** What came of deliveries to one receiver, in the transaction that is open. */
export interface Recording extends ExchangeOptions {
  readonly connection: SqlConnection;
  readonly endpoint: string;
  readonly at: Date;
}

/** What differs between the databases. */
export interface ResultStatements {
  /** Holds for deliveries to a receiver, $1, of the events $2. */
  readonly areOf: string;
  /** The value $2 for it. */
  eventsOf(ids: readonly number[]): string;
  /** The rows `r` of the failures $2. */
  readonly failures: string;
  /** The value $2 for them. */
  failuresOf(failures: readonly FailedDelivery[]): string;
  /** Holds for the event `e` of a delivery `d`. */
  readonly isEvent: string;
}

/** What is written of a delivery that failed. */
export interface FailedDelivery {
  readonly id: number;
  readonly error: string;
  /** Null: it is given up. */
  readonly next: Date | null;
}

type Failed = Extract<DeliveryResult, { readonly error: string }>;

/**
 * Records results. Returns how many events were given up because the receiver was
 * away for too long.
 */
export async function recordResults(
  recording: Recording,
  statements: ResultStatements,
): Promise<number> {
  const { connection, endpoint, results } = recording;
  if (results.length === 0) return 0;
  const { areOf } = statements;
  const having = (kind: DeliveryResult["kind"]) =>
    statements.eventsOf(
      results.filter((it) => it.kind === kind).map(({ eventId }) => eventId),
    );
  await connection.run(
    `DELETE FROM agent_webhook_deliveries WHERE ${areOf}`,
    [endpoint, having("delivered")],
  );
  await connection.run(
    `UPDATE agent_webhook_deliveries SET leased_until = NULL, tries = tries - 1
     WHERE ${areOf}`,
    [endpoint, having("returned")],
  );
  const failed = results.filter((it): it is Failed => "error" in it);
  if (failed.length > 0) await recordFailures(recording, failed, statements);
  await recordHealth(recording);
  const gone = failed.find(({ kind }) => kind === "gone");
  if (gone) await endService(recording, gone.error);
  return failed.length > 0 ? await giveUp(recording, statements.isEvent) : 0;
}

async function recordFailures(
  { connection, endpoint, at }: Recording,
  failed: readonly Failed[],
  { failures, failuresOf }: ResultStatements,
): Promise<void> {
  const rows = failed.map((it) => ({
    id: it.eventId,
    error: it.error,
    next: it.kind === "failed" && it.retryMs !== null
      ? new Date(at.getTime() + it.retryMs)
      : null,
  }));
  await connection.run(
    `UPDATE agent_webhook_deliveries d
     SET leased_until = NULL, next_at = r.next, error = r.error,
       given_up_at = CASE WHEN r.next IS NULL THEN $3::timestamptz END
     FROM ${failures} WHERE d.endpoint = $1 AND d.event_id = r.id`,
    [endpoint, failuresOf(rows), at],
  );
}

async function recordHealth(
  { connection, endpoint, results, at }: Recording,
): Promise<void> {
  const success = results.findLastIndex(({ kind }) => kind === "delivered");
  const since = results.slice(success + 1)
    .filter((it): it is Failed => "error" in it);
  await connection.run(
    `UPDATE agent_webhook_endpoints SET
       failures = $3::integer + CASE WHEN $4::boolean THEN 0 ELSE failures END,
       failing_since = CASE WHEN NOT $4::boolean THEN failing_since END,
       last_success_at = CASE WHEN $4::boolean THEN $2::timestamptz
         ELSE last_success_at END
     WHERE endpoint = $1`,
    [endpoint, at, since.length, success >= 0],
  );
  const last = results.findLast((it): it is Failed => "error" in it);
  if (!last) return;
  await connection.run(
    `UPDATE agent_webhook_endpoints SET
       failing_since = CASE WHEN failures > 0
         THEN coalesce(failing_since, $2::timestamptz) END,
       last_error_at = $2::timestamptz, last_error = $3
     WHERE endpoint = $1`,
    [endpoint, at, last.error],
  );
}

/** The receiver said that it wants no more. */
async function endService(
  { connection, endpoint, at }: Recording,
  error: string,
): Promise<void> {
  await connection.run(
    `UPDATE agent_webhook_endpoints SET gone_at = $2::timestamptz
     WHERE endpoint = $1`,
    [endpoint, at],
  );
  await connection.run(
    `UPDATE agent_webhook_deliveries
     SET given_up_at = $2::timestamptz, error = $3
     WHERE endpoint = $1 AND given_up_at IS NULL`,
    [endpoint, at, error],
  );
}

/** A receiver that stays away must not keep the history for ever. */
async function giveUp(
  { connection, endpoint, at, patience }: Recording,
  isEvent: string,
): Promise<number> {
  const since = new Date(at.getTime() - patience.ms);
  return await connection.run(
    `UPDATE agent_webhook_deliveries d
     SET given_up_at = $2::timestamptz,
       error = coalesce(d.error, 'Nothing was delivered for too long')
     FROM agent_webhook_endpoints p, agent_task_events e
     WHERE d.endpoint = $1 AND p.endpoint = $1 AND ${isEvent}
       AND d.given_up_at IS NULL AND p.failing_since <= $3::timestamptz
       AND p.failures >= $4 AND e.occurred_at <= $3::timestamptz`,
    [endpoint, at, since, patience.tries],
  );
}
