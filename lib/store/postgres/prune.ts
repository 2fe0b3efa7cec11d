/**
 * Deleting what ended long ago.
 *
 * @module
 */

import { DatabaseError } from "../../base/errors.ts";
import type { PruneCount, Pruned } from "../contract.ts";
import type { Connection } from "./connection.ts";
import { type Database, LONG_MS } from "./database.ts";
import { codeOf } from "./explain.ts";
import { deleteOldLogs, LOG_SET_SIZE } from "./run_logs.ts";

/** Nothing that has not ended, however old. */
const IS_OLD = `status IN ('completed', 'failed')
  AND updated_at < $1::timestamptz`;

/** Holds for an event `e` that a receiver has not come to, or has not got. */
const IS_AWAITED = `(
  EXISTS (SELECT FROM agent_webhook_endpoints p WHERE p.gone_at IS NULL
    AND (e.xid, e.id) > (p.last_xid, p.last_event_id))
  OR EXISTS (SELECT FROM agent_webhook_deliveries d
    WHERE d.task_id = e.task_id AND d.event_id = e.id
      AND d.given_up_at IS NULL))`;

/** Finds the old tasks but for those that webhooks, or tasks, still wait for. */
const PRUNABLE = `SELECT id FROM agent_tasks WHERE ${IS_OLD} AND NOT EXISTS (
  SELECT FROM agent_task_events e
  WHERE e.task_id = agent_tasks.id AND ${IS_AWAITED}) AND NOT EXISTS (
  SELECT FROM agent_task_dependencies d JOIN agent_tasks w ON w.id = d.task_id
  WHERE d.after_id = agent_tasks.id
    AND w.status NOT IN ('completed', 'failed'))`;

/** Counts in the transaction that is open on the connection. */
export async function countOld(
  connection: Connection,
  before: Date,
): Promise<PruneCount> {
  const [row] = await connection.rows<PruneCount & { old: number }>(
    `SELECT (SELECT count(*) FROM agent_tasks WHERE ${IS_OLD}) AS old,
       (SELECT count(*) FROM (${PRUNABLE}) prunable) AS tasks,
       (SELECT count(*) FROM agent_task_events
         WHERE task_id IN (${PRUNABLE})) AS events`,
    [before],
  );
  const { old = 0, tasks = 0, events = 0 } = row ?? {};
  return { tasks, events, kept: old - tasks };
}

/** The space that was theirs stays the server's, for what comes. */
export async function prune(
  database: Database,
  before: Date,
): Promise<Pruned> {
  try {
    const count = await database.transaction(
      (connection) => deleteOld(connection, before),
      { timeoutMs: LONG_MS },
    );
    return { ...count, size: null };
  } catch (error) {
    const { cause } = error as Error;
    if (codeOf(cause) !== "23503") throw error;
    const { table_name: table } = cause as { table_name?: string };
    throw new DatabaseError(
      `Cannot delete old tasks: ${
        table ?? "another table"
      } refers to some of them. Nothing was deleted. ` +
        "Delete what refers to them first.",
      { cause: error },
    );
  }
}

async function deleteOld(
  connection: Connection,
  before: Date,
): Promise<PruneCount> {
  const [row] = await connection.rows<{ old: number }>(
    `SELECT count(*) AS old FROM agent_tasks WHERE ${IS_OLD}`,
    [before],
  );
  await connection.run(
    `DELETE FROM agent_task_logs WHERE task_id IN (${PRUNABLE})`,
    [before],
  );
  // Those of both sides: what waited for them has ended, too.
  await connection.run(
    `WITH old AS MATERIALIZED (${PRUNABLE})
     DELETE FROM agent_task_dependencies
     WHERE task_id IN (SELECT id FROM old) OR after_id IN (SELECT id FROM old)`,
    [before],
  );
  const events = await connection.run(
    `DELETE FROM agent_task_events WHERE task_id IN (${PRUNABLE})`,
    [before],
  );
  const tasks = await connection.run(
    `DELETE FROM agent_tasks WHERE id IN (${PRUNABLE})`,
    [before],
  );
  return { tasks, events, kept: (row?.old ?? 0) - tasks };
}

/** Who has it deletes old history; the others leave that to it. */
export const HISTORY_LOCK = 7_311_650_017;
/** Rows of one transaction: what others want to write waits for no more. */
const SET_SIZE = 10_000;

/** Holds for an event `e` of a task that had ended by then, which nobody awaits. */
const IS_PAST = `occurred_at < $1::timestamptz
  AND NOT EXISTS (SELECT FROM agent_tasks t WHERE t.id = e.task_id
    AND (status NOT IN ('completed', 'failed')
      OR updated_at >= $1::timestamptz))
  AND NOT ${IS_AWAITED}`;

/** Options for {@linkcode pruneHistory}. */
export interface HistoryOptions {
  readonly retentionMs: number;
  /** Ends it between two sets. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Deletes the history and the logs of tasks that ended longer ago than this, set by
 * set, and none where somebody else does it. Forgets receivers that no runner has served
 * since then, and what was given up before. Returns how many events.
 */
export async function pruneHistory(
  database: Database,
  { retentionMs, signal }: HistoryOptions,
): Promise<number> {
  /** Undefined where somebody else does it. */
  const inTurn = <T>(
    work: (connection: Connection, before: Date) => Promise<T>,
  ) =>
    database.transaction(async (connection, at) => {
      const [lock] = await connection.rows<{ isOurs: boolean }>(
        'SELECT pg_try_advisory_xact_lock($1) AS "isOurs"',
        [HISTORY_LOCK],
      );
      if (!lock?.isOurs) return undefined;
      return await work(connection, new Date(at.getTime() - retentionMs));
    }, { signal, wakes: "nobody", timeoutMs: LONG_MS });
  await inTurn(forgetReceivers);
  while (await inTurn(deleteOldDeliveries) === SET_SIZE);
  while (await inTurn(deleteOldLogs) === LOG_SET_SIZE && !signal?.aborted);
  const last = await inTurn(lastOld);
  if (!last) return 0;
  let total = 0;
  for (let from: Place | undefined = { xid: "0", id: 0 }; from;) {
    const after: Place = from;
    const deleted: Deleted | undefined = await inTurn((connection, before) =>
      deleteOldEvents(connection, { before, after, last })
    );
    total += deleted?.count ?? 0;
    from = deleted?.count === SET_SIZE ? deleted : undefined;
  }
  return total;
}

/** Where an event stands among all. */
interface Place {
  readonly xid: string;
  readonly id: number;
}

/** How many events were deleted, and the last of them. */
interface Deleted extends Place {
  readonly count: number;
}

function forgetReceivers(connection: Connection, before: Date) {
  return connection.run(
    "DELETE FROM agent_webhook_endpoints WHERE seen_at < $1::timestamptz",
    [before],
  );
}

function deleteOldDeliveries(connection: Connection, before: Date) {
  return connection.run(
    `DELETE FROM agent_webhook_deliveries WHERE ctid = ANY (ARRAY(
       SELECT d.ctid FROM agent_webhook_deliveries d
       WHERE given_up_at < $1::timestamptz OR NOT EXISTS (
         SELECT FROM agent_webhook_endpoints p WHERE p.endpoint = d.endpoint)
       LIMIT ${SET_SIZE} FOR UPDATE OF d SKIP LOCKED))`,
    [before],
  );
}

/**
 * The last transaction that wrote an old event; null: there is none. By the index
 * of the times, which has no order: the sets go by one that has, and end there.
 */
async function lastOld(
  connection: Connection,
  before: Date,
): Promise<string | null> {
  const [row] = await connection.rows<{ xid: string | null }>(
    `SELECT max(xid::text::numeric)::text AS xid FROM agent_task_events
     WHERE occurred_at < $1::timestamptz`,
    [before],
  );
  return row?.xid ?? null;
}

/** Deletes a set after a place. Undefined: nothing is left. */
async function deleteOldEvents(
  connection: Connection,
  { before, after, last }: {
    readonly before: Date;
    readonly after: Place;
    readonly last: string;
  },
): Promise<Deleted | undefined> {
  const [deleted] = await connection.rows<Deleted>(
    `WITH old AS MATERIALIZED (
       SELECT e.xid, e.id FROM agent_task_events e
       WHERE (e.xid, e.id) > ($2::xid8, $3::bigint) AND e.xid <= $4::xid8
         AND ${IS_PAST}
       ORDER BY e.xid, e.id LIMIT ${SET_SIZE}),
     gone AS (
       DELETE FROM agent_task_events e USING old
       WHERE e.xid = old.xid AND e.id = old.id)
     SELECT old.xid::text AS xid, old.id,
       (SELECT count(*) FROM old)::integer AS count
     FROM old ORDER BY old.xid DESC, old.id DESC LIMIT 1`,
    [before, after.xid, after.id, last],
  );
  return deleted;
}
