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
import { isDue, isFree } from "./rows.ts";
import { Values } from "./values.ts";
import { changeRows, writeEvents } from "./write.ts";

/** A pause as its query gives it. */
type PauseRow = Omit<PauseInfo, "since" | "until" | "isTried"> & {
  readonly trial: string | null;
  readonly sinceMs: number;
  readonly untilMs: number | null;
};

const FIELDS =
  `provider: provider, batch: batch, kind: kind, reason: reason, tries: tries, trial: trial,
  sinceMs: epoch_ms(since), untilMs: epoch_ms(until)`;

/** The pauses that are not over, and the limits that may be. */
export async function readPauses(
  connection: Connection,
  at: Date,
): Promise<Pause[]> {
  const rows = await connection.json<Omit<PauseRow, "waiting">[]>(
    `SELECT to_json(list({${FIELDS}} ORDER BY provider, batch, kind))
     FROM agent_pauses`,
  ) ?? [];
  const pauses = rows.map(pauseOf).filter((it) => pauseStateAt(it, at));
  const trials = rows.flatMap(({ trial }) => trial ?? []);
  if (trials.length === 0) return pauses;
  const tried = await connection.json<string[]>(
    `SELECT to_json(list(p.provider)) FROM agent_pauses p
     JOIN agent_tasks t ON t.id = p.trial
     WHERE t.lease_id IS NOT NULL AND t.lease_expires_at > $1::TIMESTAMPTZ`,
    [at],
  ) ?? [];
  return pauses.map((it) => ({ ...it, isTried: tried.includes(it.provider) }));
}

/** The same, with how many tasks wait. */
export async function readPauseInfos(
  connection: Connection,
  at: Date,
): Promise<PauseInfo[]> {
  const rows = await connection.json<PauseRow[]>(
    `WITH waits AS (
       SELECT provider, coalesce(batch, '') AS batch, count(*) AS count
       FROM agent_tasks
       WHERE status IN ('created', 'running') AND cancel_requested_at IS NULL
         AND blocked IS NOT TRUE AND ${isFree("$1::TIMESTAMPTZ")} AND ${
      isDue("$1::TIMESTAMPTZ")
    }
       GROUP BY ALL),
     found AS (
       SELECT p.*, coalesce((SELECT sum(w.count) FROM waits w
         WHERE p.provider IN (w.provider, '${OTHERS}')
           AND p.batch IN (w.batch, '')), 0)::BIGINT AS waiting
       FROM agent_pauses p)
     SELECT to_json(list({${FIELDS}, waiting: waiting}
       ORDER BY provider, batch, kind)) FROM found`,
    [at],
  ) ?? [];
  return rows.map((row) => ({ ...pauseOf(row), waiting: row.waiting }))
    .filter((it) => pauseStateAt(it, at));
}

function pauseOf(
  { provider, batch, kind, reason, tries, sinceMs, untilMs }: Omit<
    PauseRow,
    "waiting"
  >,
): Pause {
  return {
    ...{ provider, batch, kind, reason, tries, since: new Date(sinceMs) },
    until: untilMs === null ? null : new Date(untilMs),
  };
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
    "DELETE FROM agent_pauses WHERE provider = $1 AND batch = $2 AND kind = $3",
    [provider, batch, kind],
  );
  await connection.run(
    `INSERT INTO agent_pauses
       (provider, batch, kind, reason, since, until, tries)
     VALUES ($1, $2, $3, $4, $5::TIMESTAMPTZ, $6::TIMESTAMPTZ, $7)`,
    [
      ...[provider, batch, kind, reason, since],
      ...[until ?? null, tries],
    ],
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
    const row = await connection.json<Omit<PauseRow, "waiting">>(
      `SELECT to_json({${FIELDS}}) FROM agent_pauses
       WHERE provider = $1 AND kind = 'limit'`,
      [provider],
    );
    const known = row ? pauseOf(row) : undefined;
    const pause = pauseAfterAll(limits, { known, at });
    if (pause) await write(connection, pause);
  }
  const ids = isTrying ? unlimitedTasks(transitions, results) : [];
  if (ids.length === 0) return;
  const values = new Values();
  await connection.run(
    `DELETE FROM agent_pauses
     WHERE kind = 'limit' AND until <= ${values.time(at)}
       AND trial IN (SELECT ${values.ids(ids)})`,
    values.list,
  );
}

/** Gives what waits of one provider to another. Returns how many. */
export async function handOver(
  connection: Connection,
  options: HandOverOptions & { readonly at: Date },
): Promise<number> {
  const { from, to, at } = options;
  const rows = await connection.json<{ id: string; attempt: number }[]>(
    `SELECT to_json(list({id: id, attempt: coalesce(attempt, 0)})) FROM (
       SELECT id, attempt FROM agent_tasks
       WHERE provider = $2 AND status IN ('created', 'running')
         AND cancel_requested_at IS NULL AND ${isFree("$1::TIMESTAMPTZ")}
         AND ${isDue("$1::TIMESTAMPTZ")}
         AND (lease_id IS NULL OR status = 'created')
       LIMIT ${MOST_HANDED_OVER})`,
    [at, from],
  ) ?? [];
  if (rows.length === 0) return 0;
  const ids = rows.map(({ id }) => id);
  const values = new Values();
  const sql = `UPDATE agent_tasks SET provider = ${values.bind(to)},
      updated_at = ${values.time(at)} WHERE id IN (SELECT ${values.ids(ids)})`;
  await changeRows(connection, ids, { sql, values });
  await writeEvents(connection, handedOver(rows, options), at);
  return rows.length;
}
