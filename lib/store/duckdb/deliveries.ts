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
import { inTrace } from "./retried.ts";
import { IS_SIMULATED, taskStruct } from "./rows.ts";

/** An exchange with one receiver, in the transaction that is open. */
export interface Exchanging extends Recording {
  readonly connection: Connection;
}

/** Holds for deliveries to a receiver, $1, of the events in the JSON list $2. */
const ARE_OF = `endpoint = $1
  AND event_id IN (SELECT unnest($2::JSON::BIGINT[]))`;

/** What writing results says in its own way. */
export const RESULTS: ResultStatements = {
  areOf: ARE_OF,
  eventsOf: JSON.stringify,
  failures: `(SELECT unnest(from_json($2,
    '[{"id": "BIGINT", "error": "TEXT", "next": "TIMESTAMPTZ"}]'),
    recursive := true)) r`,
  failuresOf: JSON.stringify,
  isEvent: "e.id = d.event_id",
};

/** Holds for an event that a receiver wants: its kinds and providers are JSON. */
export const isWanted = (events: string, providers: string) => `
  kind IN (SELECT unnest(${events}::JSON::TEXT[]))
  AND (${providers}::TEXT IS NULL OR task_id IN (SELECT id FROM agent_tasks
    WHERE provider IN (SELECT unnest(${providers}::JSON::TEXT[]))))`;

/** The values for {@linkcode isWanted}. */
export function wantedOf({ events, providers }: Subscription) {
  return [
    JSON.stringify(events),
    providers ? JSON.stringify(providers) : null,
  ] as const;
}

/** Notes which of the new events are to be delivered. */
export async function takeNew(
  { connection, endpoint, at }: Exchanging,
  subscription: Subscription,
): Promise<void> {
  const place = await connection.json<
    { last: number; newest: number | null; room: number; seenMs: number }
  >(
    `SELECT to_json({last: last_event_id, seenMs: epoch_ms(seen_at),
       newest: (SELECT max(id) FROM agent_task_events),
       room: ${MAX_PENDING} - (SELECT count(*) FROM agent_webhook_deliveries d
         WHERE d.endpoint = $1 AND given_up_at IS NULL)})
     FROM agent_webhook_endpoints WHERE endpoint = $1 AND gone_at IS NULL`,
    [endpoint],
  );
  if (!place) return;
  const newest = place.newest ?? 0;
  const isNew = newest > place.last && place.room > 0;
  if (!isNew && at.getTime() - place.seenMs < SEEN_INTERVAL_MS) return;
  let last = place.last;
  if (isNew) {
    const count = await connection.run(
      `INSERT INTO agent_webhook_deliveries (endpoint, event_id, task_id)
       SELECT $1, id, task_id FROM agent_task_events
       WHERE id > $2 AND ${isWanted("$3", "$4")} ORDER BY id LIMIT $5`,
      [endpoint, place.last, ...wantedOf(subscription), place.room],
    );
    last = count < place.room ? newest : await connection.json<number>(
      `SELECT to_json(max(event_id)) FROM agent_webhook_deliveries
         WHERE endpoint = $1`,
      [endpoint],
    ) ?? place.last;
  }
  await connection.run(
    `UPDATE agent_webhook_endpoints
     SET last_event_id = $2, seen_at = $3::TIMESTAMPTZ WHERE endpoint = $1`,
    [endpoint, last, at],
  );
}

/** What may be tried now. */
export interface Due {
  readonly ids: readonly number[];
  /** When the next of those that wait is due, by its time. */
  readonly nextAt: number | null;
}

/** The oldest event of each task, where it may be tried now. */
export async function findDue(
  { connection, endpoint, at, limit }: Exchanging,
): Promise<Due> {
  const due = await connection.json<Due>(
    `SELECT to_json({
       ids: coalesce(list(event_id ORDER BY event_id)
         FILTER (coalesce(due <= $2::TIMESTAMPTZ, true)), []),
       nextAt: epoch_ms(min(due) FILTER (due > $2::TIMESTAMPTZ))})
     FROM (
       SELECT event_id, greatest(next_at, leased_until) AS due
       FROM agent_webhook_deliveries
       WHERE endpoint = $1 AND given_up_at IS NULL
       QUALIFY row_number() OVER (PARTITION BY task_id ORDER BY event_id) = 1)`,
    [endpoint, at],
  );
  return {
    ids: due?.ids.slice(0, limit) ?? [],
    nextAt: due?.nextAt ?? null,
  };
}

interface DeliveryRow extends Omit<Delivery, "occurredAt" | "task"> {
  readonly occurredAt: number;
  readonly task:
    | Omit<DeliveredTask, "createdAt" | "approval"> & {
      readonly createdAt: number;
      readonly approval: string | null;
    }
    | null;
}

const FIELDS = taskStruct([
  "userId",
  "provider",
  "targetType",
  "targetRef",
  "instruction",
  "createdAt",
]);
const TASK = `struct_insert(${FIELDS}, isSimulated := ${IS_SIMULATED},
  approval := ${inTrace(ASKS_KEY)})`;

/** Leases what is due, and reads it. */
export async function leaseDue(
  { connection, endpoint, at, leaseMs }: Exchanging,
  due: readonly number[],
): Promise<Delivery[]> {
  if (due.length === 0) return [];
  const ids = JSON.stringify(due);
  await connection.run(
    `UPDATE agent_webhook_deliveries
     SET leased_until = $3::TIMESTAMPTZ, tries = tries + 1 WHERE ${ARE_OF}`,
    [endpoint, ids, new Date(at.getTime() + leaseMs)],
  );
  const rows = await connection.json<DeliveryRow[]>(
    `SELECT to_json(list({eventId: e.id, event: e.kind,
       occurredAt: epoch_ms(e.occurred_at), attempt: e.attempt,
       runner: e.runner, detail: left(e.detail, ${MAX_TEXT}),
       taskId: e.task_id, tries: d.tries, task: t.task} ORDER BY e.id))
     FROM agent_task_events e
     JOIN agent_webhook_deliveries d ON d.event_id = e.id AND d.endpoint = $1
     LEFT JOIN (SELECT id, ${TASK} AS task
       FROM (SELECT * REPLACE (left(instruction, ${MAX_TEXT}) AS instruction)
             FROM agent_tasks)) t ON t.id = e.task_id
     WHERE e.id IN (SELECT unnest($2::JSON::BIGINT[]))`,
    [endpoint, ids],
  ) ?? [];
  if (rows.length < due.length) {
    // Somebody has deleted history by hand: there is nothing to deliver.
    const found = rows.map(({ eventId }) => eventId);
    await connection.run(
      `DELETE FROM agent_webhook_deliveries WHERE ${ARE_OF}
         AND event_id NOT IN (SELECT unnest($3::JSON::BIGINT[]))`,
      [endpoint, ids, JSON.stringify(found)],
    );
  }
  return rows.map(({ occurredAt, task, ...rest }) => ({
    ...rest,
    occurredAt: new Date(occurredAt),
    task: task && {
      ...task,
      createdAt: new Date(task.createdAt),
      approval: approvalIn(task.approval),
    },
  }));
}
