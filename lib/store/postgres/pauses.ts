/**
 * Providers that take no tasks just now.
 *
 * @module
 */

import type { Transition } from "../../task/task.ts";
import {
  type HandOverOptions,
  OTHERS,
  type Pause,
  type PauseInfo,
  type PauseOptions,
  type PauseTarget,
} from "../contract.ts";
import {
  handedOver,
  limitsMet,
  MOST_HANDED_OVER,
  newPause,
  pauseAfterAll,
  pauseStateAt,
  unlimitedTasks,
} from "../pauses.ts";
import type { Connection } from "./connection.ts";
import { IS_DUE, IS_FREE } from "./candidates.ts";
import { uuids } from "./rows.ts";
import { writeEvents } from "./write.ts";

const PAUSE = "provider, batch, kind, reason, since, until, tries";
const BY_NAME = "ORDER BY provider, batch, kind";

/** Any number, the same in all runners; beside it that of a provider's name. */
const PAUSE_LOCK = 7_311_651;

/** The pauses that are not over, and the limits that may be. */
export async function readPauses(
  connection: Connection,
  at: Date,
): Promise<Pause[]> {
  const rows = await connection.rows<Pause>(
    `SELECT ${PAUSE}, EXISTS (SELECT FROM agent_tasks
       WHERE id = trial AND lease_id IS NOT NULL
         AND lease_expires_at > $1::timestamptz) AS "isTried"
     FROM agent_pauses ${BY_NAME}`,
    [at],
  );
  return rows.filter((it) => pauseStateAt(it, at));
}

/** The same, with how many tasks wait. */
export async function readPauseInfos(
  connection: Connection,
  at: Date,
): Promise<PauseInfo[]> {
  const rows = await connection.rows<PauseInfo>(
    `SELECT ${PAUSE}, (SELECT count(*)::integer FROM agent_tasks t
       WHERE p.provider IN (t.provider, '${OTHERS}')
         AND p.batch IN (coalesce(t.batch, ''), '')
         AND status IN ('created', 'running')
         AND cancel_requested_at IS NULL AND NOT blocked
         AND ${IS_FREE} AND ${IS_DUE}) AS waiting
     FROM agent_pauses p ${BY_NAME}`,
    [at],
  );
  return rows.filter((it) => pauseStateAt(it, at));
}

/** Pauses what is named. */
export function addPause(
  connection: Connection,
  target: PauseTarget,
  { at, ...options }: PauseOptions & { readonly at: Date },
): Promise<void> {
  return write(connection, newPause(target, options, at));
}

async function write(connection: Connection, pause: Pause): Promise<void> {
  const { provider, batch, kind, reason, since, until, tries } = pause;
  await connection.run(
    `INSERT INTO agent_pauses (${PAUSE})
     VALUES ($1, $2, $3, $4, $5::timestamptz, $6::timestamptz, $7)
     ON CONFLICT (provider, batch, kind) DO UPDATE SET reason = excluded.reason,
       since = excluded.since, until = excluded.until, tries = excluded.tries,
       trial = NULL`,
    [provider, batch, kind, reason, since, until, tries],
  );
}

/**
 * Notes what runs have come to: the limits that they met, and those that are over.
 *
 * @param isTrying There is a provider of which one task was to try
 */
export async function noteLimits(
  connection: Connection,
  transitions: readonly Transition[],
  { results, at, isTrying }: {
    readonly results: readonly unknown[];
    readonly at: Date;
    readonly isTrying: boolean;
  },
): Promise<void> {
  for (const [provider, limits] of limitsMet(transitions, results)) {
    // Where there is no row yet, none can be locked.
    await connection.rows(
      `SELECT pg_advisory_xact_lock(${PAUSE_LOCK},
         hashtext(current_schema() || '/' || $1))`,
      [provider],
    );
    const [known] = await connection.rows<Pause>(
      `SELECT ${PAUSE} FROM agent_pauses
       WHERE provider = $1 AND kind = 'limit'`,
      [provider],
    );
    const pause = pauseAfterAll(limits, { known, at });
    if (pause) await write(connection, pause);
  }
  const ids = isTrying ? unlimitedTasks(transitions, results) : [];
  if (ids.length === 0) return;
  await connection.run(
    `DELETE FROM agent_pauses WHERE kind = 'limit' AND until <= $2::timestamptz
       AND trial = ANY ($1::uuid[])`,
    [uuids(ids), at],
  );
}

/** Gives what waits of one provider to another. Returns how many. */
export async function handOver(
  connection: Connection,
  options: HandOverOptions & { readonly at: Date },
): Promise<number> {
  const { from, to, at } = options;
  const rows = await connection.rows<{ id: string; attempt: number }>(
    `UPDATE agent_tasks SET provider = $3, updated_at = $1::timestamptz
     WHERE id IN (SELECT id FROM agent_tasks
       WHERE provider = $2 AND status IN ('created', 'running')
         AND cancel_requested_at IS NULL AND ${IS_FREE} AND ${IS_DUE}
         AND (lease_id IS NULL OR status = 'created')
       LIMIT ${MOST_HANDED_OVER} FOR UPDATE SKIP LOCKED)
     RETURNING id, attempt`,
    [at, from, to],
  );
  await writeEvents(connection, handedOver(rows, options), at);
  return rows.length;
}
