/**
 * From an event in the history to a delivery that somebody has leased.
 *
 * @module
 */

import type { DeliveredTask, Delivery, Subscription } from "../contract.ts";
import { approvalIn, ASKS_KEY } from "../../task/workspace.ts";
import {
  MAX_PENDING,
  MAX_TEXT,
  type Recording,
  type ResultStatements,
  SEEN_INTERVAL_MS,
} from "../sql/deliveries.ts";
import type { Connection } from "./connection.ts";
import { IS_SETTLED, readLast } from "./events.ts";
import { fieldsOf, IS_SIMULATED, jsonOf } from "./rows.ts";

/** An exchange with one receiver, in the transaction that is open. */
export interface Exchanging extends Recording {
  readonly connection: Connection;
}

/** Event numbers as one value: for `ANY ($2::bigint[])`. */
function numbers(ids: readonly number[]): string {
  return `{${ids.join(",")}}`;
}

/** Holds for deliveries to a receiver, $1, of the events $2. */
const ARE_OF = "endpoint = $1 AND event_id = ANY ($2::bigint[])";

/** What writing results says in its own way. */
export const RESULTS: ResultStatements = {
  areOf: ARE_OF,
  eventsOf: numbers,
  failures: `json_to_recordset($2::json)
    AS r (id bigint, error text, next timestamptz)`,
  failuresOf: jsonOf,
  isEvent: "e.id = d.event_id AND e.xid = d.event_xid",
};

/** Holds for an event that a receiver wants: its kinds and providers are JSON. */
export const isWanted = (events: string, providers: string) => `
  kind IN (SELECT json_array_elements_text(${events}::json))
  AND (${providers}::json IS NULL OR EXISTS (SELECT FROM agent_tasks t
    WHERE t.id = task_id AND t.provider IN (
      SELECT json_array_elements_text(${providers}::json))))`;

/** The values for {@linkcode isWanted}. */
export function wantedOf({ events, providers }: Subscription) {
  return [
    jsonOf(events),
    providers ? jsonOf(providers) : null,
  ] as const;
}

interface Place {
  readonly xid: string;
  readonly id: number;
  readonly seenAt: Date;
  readonly pending: number;
  readonly isBehind: boolean;
}

/**
 * Notes which of the new events are to be delivered. Whoever else exchanges with this
 * receiver waits until the transaction ends. Returns whether there are events that
 * can't be read yet.
 */
export async function takeNew(
  { connection, endpoint, at }: Exchanging,
  subscription: Subscription,
): Promise<boolean> {
  const [place] = await connection.rows<Place>(
    `SELECT last_xid::text AS xid, last_event_id AS id, seen_at AS "seenAt",
       (SELECT count(*) FROM agent_webhook_deliveries d
         WHERE d.endpoint = $1 AND given_up_at IS NULL) AS pending,
       EXISTS (SELECT FROM agent_task_events
         WHERE xid >= pg_snapshot_xmin(pg_current_snapshot())) AS "isBehind"
     FROM agent_webhook_endpoints
     WHERE endpoint = $1 AND gone_at IS NULL FOR UPDATE`,
    [endpoint],
  );
  if (!place) return false;
  const newest = await readLast(connection);
  const room = MAX_PENDING - place.pending;
  const hasNew = newest.xid !== place.xid || newest.id !== place.id;
  const isNew = hasNew && room > 0;
  if (!isNew && at.getTime() - place.seenAt.getTime() < SEEN_INTERVAL_MS) {
    return place.isBehind;
  }
  let last: { readonly xid: string; readonly id: number } = place;
  if (isNew) {
    const taken = await connection.rows<{ xid: string; id: number }>(
      `INSERT INTO agent_webhook_deliveries
         (endpoint, event_id, event_xid, task_id)
       SELECT $1, id, xid, task_id FROM agent_task_events
       WHERE (xid, id) > ($2::xid8, $3::bigint)
         AND (xid, id) <= ($4::xid8, $5::bigint) AND ${IS_SETTLED}
         AND ${isWanted("$6", "$7")}
       ORDER BY xid, id LIMIT $8
       RETURNING event_xid::text AS xid, event_id AS id`,
      [
        ...[endpoint, place.xid, place.id, newest.xid, newest.id],
        ...wantedOf(subscription),
        room,
      ],
    );
    last = taken.length < room ? newest : taken.at(-1) ?? place;
  }
  await connection.run(
    `UPDATE agent_webhook_endpoints
     SET last_xid = $2::xid8, last_event_id = $3::bigint,
       seen_at = $4::timestamptz
     WHERE endpoint = $1`,
    [endpoint, last.xid, last.id, at],
  );
  return place.isBehind;
}

/** What may be tried now. */
export interface Due {
  readonly ids: readonly number[];
  /** When the next of those that wait is due. */
  readonly nextAt: Date | null;
}

/** The oldest event of each task, where it may be tried now. */
export async function findDue(
  { connection, endpoint, at, limit }: Exchanging,
): Promise<Due> {
  const first = `SELECT DISTINCT ON (task_id) event_id,
      greatest(next_at, leased_until) AS due
    FROM agent_webhook_deliveries
    WHERE endpoint = $1 AND given_up_at IS NULL
    ORDER BY task_id, event_id`;
  const due = await connection.rows<{ id: number }>(
    `SELECT event_id AS id FROM (${first}) oldest
     WHERE coalesce(due <= $2::timestamptz, true)
     ORDER BY event_id LIMIT $3`,
    [endpoint, at, limit],
  );
  const [next] = await connection.rows<{ at: Date | null }>(
    `SELECT min(due) AS at FROM (${first}) oldest
     WHERE due > $2::timestamptz`,
    [endpoint, at],
  );
  return { ids: due.map(({ id }) => id), nextAt: next?.at ?? null };
}

type DeliveryRow = Omit<Delivery, "task"> & Omit<DeliveredTask, "approval"> & {
  readonly hasTask: boolean;
  readonly approval: string | null;
};

const FIELDS = fieldsOf([
  "userId",
  "provider",
  "targetType",
  "targetRef",
  "createdAt",
]);

/** Leases what is due, and reads it. */
export async function leaseDue(
  { connection, endpoint, at, leaseMs }: Exchanging,
  due: readonly number[],
): Promise<Delivery[]> {
  if (due.length === 0) return [];
  const ids = numbers(due);
  await connection.run(
    `UPDATE agent_webhook_deliveries
     SET leased_until = $3::timestamptz, tries = tries + 1 WHERE ${ARE_OF}`,
    [endpoint, ids, new Date(at.getTime() + leaseMs)],
  );
  const rows = await connection.rows<DeliveryRow>(
    `SELECT e.id AS "eventId", e.kind AS event, e.occurred_at AS "occurredAt",
       e.attempt, e.runner, left(e.detail, ${MAX_TEXT}) AS detail,
       e.task_id AS "taskId", d.tries, t.id IS NOT NULL AS "hasTask",
       t."userId", t.provider, t."targetType", t."targetRef", t.instruction,
       t."createdAt", t."isSimulated", t.approval
     FROM agent_webhook_deliveries d
     JOIN agent_task_events e ON e.id = d.event_id AND e.xid = d.event_xid
     LEFT JOIN LATERAL (
       SELECT id, ${FIELDS}, left(instruction, ${MAX_TEXT}) AS instruction,
         ${IS_SIMULATED} AS "isSimulated",
         trace_value(last_update, '${ASKS_KEY}') AS approval
       FROM agent_tasks WHERE id = e.task_id) t ON true
     WHERE d.endpoint = $1 AND d.event_id = ANY ($2::bigint[]) ORDER BY e.id`,
    [endpoint, ids],
  );
  if (rows.length < due.length) {
    // Somebody has deleted history by hand: there is nothing to deliver.
    await connection.run(
      `DELETE FROM agent_webhook_deliveries WHERE ${ARE_OF}
         AND event_id <> ALL ($3::bigint[])`,
      [endpoint, ids, numbers(rows.map(({ eventId }) => eventId))],
    );
  }
  return rows.map(deliveryOf);
}

function deliveryOf(
  {
    hasTask,
    userId,
    provider,
    targetType,
    targetRef,
    instruction,
    createdAt,
    isSimulated,
    approval,
    ...rest
  }: DeliveryRow,
): Delivery {
  const task = {
    userId,
    provider,
    targetType,
    targetRef,
    instruction,
    createdAt,
    isSimulated,
    approval: approvalIn(approval),
  };
  return { ...rest, task: hasTask ? task : null };
}
