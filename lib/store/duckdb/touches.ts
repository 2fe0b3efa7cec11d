/**
 * What tasks in hand touch, and what waits because of that.
 *
 * @module
 */

import type { Holds } from "../limits.ts";
import { Touched, type TouchedRow } from "../touches.ts";
import type { Connection } from "./connection.ts";
import { TOUCH } from "./rows.ts";
import { Values } from "./values.ts";

const isLive = (at: string) =>
  `(lease_id IS NOT NULL AND coalesce(lease_expires_at > ${at}, false))`;

/** What is in hand, and which of what waits that holds back. */
export async function readTouchHolds(
  connection: Connection,
  now: Date,
): Promise<{ readonly touched: Touched; readonly holds: Holds }> {
  const touched = await readTouched(connection, now);
  const waiting = touched.isEmpty ? [] : await readWaiting(connection, now);
  return { touched, holds: touched.holds(waiting) };
}

/** The tasks in hand that touch something. */
async function readTouched(
  connection: Connection,
  now: Date,
): Promise<Touched> {
  const values = new Values();
  const rows = await connection.json<TouchedRow[]>(
    `SELECT to_json(list({id: id, touch: ${TOUCH}} ORDER BY rowid))
     FROM agent_tasks WHERE touches IS NOT NULL AND ${isLive(values.time(now))}
       AND status IN ('created', 'running')`,
    values.list,
  );
  return new Touched(rows ?? []);
}

/** All that tasks touch that nobody has in hand, each once. */
async function readWaiting(
  connection: Connection,
  now: Date,
): Promise<string[]> {
  const values = new Values();
  return await connection.json<string[]>(
    `SELECT to_json(list(DISTINCT ${TOUCH})) FROM agent_tasks
     WHERE touches IS NOT NULL AND NOT ${isLive(values.time(now))}
       AND status IN ('created', 'running')`,
    values.list,
  ) ?? [];
}
