/**
 * Providers that take no tasks just now.
 *
 * @module
 */

import type { Transition } from "../../task/task.ts";
import type {
  HandOverOptions,
  Pause,
  PauseInfo,
  PauseOptions,
} from "../contract.ts";
import {
  limitsMet,
  newPause,
  pauseAfter,
  pauseStateAt,
  unlimitedTasks,
} from "../pauses.ts";
import type { Connection } from "./connection.ts";
import { IS_FREE } from "./candidates.ts";
import { uuids } from "./rows.ts";
import { writeEvents } from "./write.ts";

const PAUSE = "provider, kind, reason, since, until, tries";

/** Handed over in one transaction. */
const MOST_HANDED_OVER = 5_000;

/** The pauses that are not over, and the limits that may be. */
export async function readPauses(
  connection: Connection,
  at: Date,
): Promise<Pause[]> {
  const rows = await connection.rows<Pause>(
    `SELECT ${PAUSE} FROM agent_pauses ORDER BY provider, kind`,
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
       WHERE t.provider = p.provider AND status IN ('created', 'running')
         AND ${IS_FREE}) AS waiting
     FROM agent_pauses p ORDER BY provider, kind`,
    [at],
  );
  return rows.filter((it) => pauseStateAt(it, at));
}

/** Pauses a provider. */
export function pauseProvider(
  connection: Connection,
  provider: string,
  { at, ...options }: PauseOptions & { readonly at: Date },
): Promise<void> {
  return write(connection, newPause(provider, options, at));
}

async function write(connection: Connection, pause: Pause): Promise<void> {
  const { provider, kind, reason, since, until, tries } = pause;
  await connection.run(
    `INSERT INTO agent_pauses (${PAUSE})
     VALUES ($1, $2, $3, $4::timestamptz, $5::timestamptz, $6)
     ON CONFLICT (provider, kind) DO UPDATE SET reason = excluded.reason,
       since = excluded.since, until = excluded.until, tries = excluded.tries`,
    [provider, kind, reason, since, until, tries],
  );
}

/** Ends all pauses of a provider. Returns how many. */
export function resumeProvider(
  connection: Connection,
  provider: string,
): Promise<number> {
  return connection.run("DELETE FROM agent_pauses WHERE provider = $1", [
    provider,
  ]);
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
  for (const limit of limitsMet(transitions, results)) {
    const [before] = await connection.rows<Pause>(
      `SELECT ${PAUSE} FROM agent_pauses
       WHERE provider = $1 AND kind = 'limit' FOR UPDATE`,
      [limit.provider],
    );
    await write(connection, pauseAfter(limit, { before, at }));
  }
  const ids = isTrying ? unlimitedTasks(transitions, results) : [];
  if (ids.length === 0) return;
  await connection.run(
    `DELETE FROM agent_pauses WHERE kind = 'limit' AND until <= $2::timestamptz
       AND provider IN (SELECT provider FROM agent_tasks
         WHERE id = ANY ($1::uuid[]))`,
    [uuids(ids), at],
  );
}

/** Gives what waits of one provider to another. Returns how many. */
export async function handOver(
  connection: Connection,
  { from, to, reason, at }: HandOverOptions & { readonly at: Date },
): Promise<number> {
  const rows = await connection.rows<{ id: string; attempt: number }>(
    `UPDATE agent_tasks SET provider = $3, updated_at = $1::timestamptz
     WHERE id IN (SELECT id FROM agent_tasks
       WHERE provider = $2 AND status IN ('created', 'running')
         AND cancel_requested_at IS NULL AND ${IS_FREE}
         AND (lease_id IS NULL OR status = 'created')
       LIMIT ${MOST_HANDED_OVER} FOR UPDATE SKIP LOCKED)
     RETURNING id, attempt`,
    [at, from, to],
  );
  const detail = `${from} → ${to}: ${reason}`;
  await writeEvents(
    connection,
    rows.map((row) => ({ ...row, kind: "handed_over", detail })),
    at,
  );
  return rows.length;
}
