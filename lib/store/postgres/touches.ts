/**
 * What tasks in hand touch, and what waits because of that.
 *
 * @module
 */

import type { Holds } from "../limits.ts";
import { Touched, type TouchedRow } from "../touches.ts";
import type { Connection } from "./connection.ts";
import { TOUCH } from "./rows.ts";

/** Any number, the same in all runners. */
const TOUCHES_LOCK = 7_311_659;

/** Holds for a row that may touch what others touch: there is an index of these. */
export const IS_TOUCHING =
  "touches IS NOT NULL AND status IN ('created', 'running')";

const IS_LIVE = `(lease_id IS NOT NULL
  AND coalesce(lease_expires_at > $1::timestamptz, false))`;

/**
 * Whether nobody else claims what touches anything until the transaction ends; waits
 * for nobody.
 */
export async function lockTouches(connection: Connection): Promise<boolean> {
  const [row] = await connection.rows<{ has: boolean }>(
    `SELECT pg_try_advisory_xact_lock(${TOUCHES_LOCK},
       hashtext(current_schema())) AS has`,
  );
  return row?.has ?? false;
}

/** What is in hand, and which of what waits that holds back. */
export async function readTouchHolds(
  connection: Connection,
  at: Date,
): Promise<{ readonly touched: Touched; readonly holds: Holds }> {
  const touched = await readTouched(connection, at);
  const waiting = touched.isEmpty ? [] : await readWaiting(connection, at);
  return { touched, holds: touched.holds(waiting) };
}

/** The tasks in hand that touch something. */
async function readTouched(
  connection: Connection,
  at: Date,
): Promise<Touched> {
  const rows = await connection.rows<TouchedRow>(
    `SELECT id, ${TOUCH} AS touch FROM agent_tasks
     WHERE ${IS_TOUCHING} AND ${IS_LIVE} ORDER BY seq`,
    [at],
  );
  return new Touched(rows);
}

/** All that tasks touch that nobody has in hand, each once. */
async function readWaiting(
  connection: Connection,
  at: Date,
): Promise<string[]> {
  const rows = await connection.rows<{ touch: string }>(
    `SELECT DISTINCT ${TOUCH} AS touch FROM agent_tasks
     WHERE ${IS_TOUCHING} AND NOT ${IS_LIVE}`,
    [at],
  );
  return rows.map(({ touch }) => touch);
}
