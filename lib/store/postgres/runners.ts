/**
 * The runners that are there, and those that are to drain.
 *
 * @module
 */

import type { DrainResult, Presence, RunnerInfo } from "../contract.ts";
import { FORGOTTEN_MS, GONE_MS, NOTED_MS } from "../presence.ts";
import type { Connection } from "./connection.ts";
import { jsonOf } from "./rows.ts";

/** Notes that a runner is there. Returns whether it is to drain. */
export async function notePresence(
  connection: Connection,
  { name, host, pid, version, concurrency, upMs }: Presence,
  at: Date,
): Promise<boolean> {
  const [known] = await connection.rows<{ seenAt: Date; isDraining: boolean }>(
    `SELECT seen_at AS "seenAt", draining_at IS NOT NULL AS "isDraining"
     FROM agent_runners WHERE name = $1`,
    [name],
  );
  // However the clock was set meanwhile.
  const isNoted = known && Math.abs(+at - +known.seenAt) < NOTED_MS;
  if (isNoted) return known.isDraining;
  await connection.run(
    "DELETE FROM agent_runners WHERE seen_at < $1::timestamptz AND name <> $2",
    [before(at, FORGOTTEN_MS), name],
  );
  const [noted] = await connection.rows<{ isDraining: boolean }>(
    `INSERT INTO agent_runners
       (name, host, pid, version, concurrency, started_at, seen_at)
     VALUES ($1, $2, $3, $4, $5, $6::timestamptz, $7::timestamptz)
     ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at
     RETURNING draining_at IS NOT NULL AS "isDraining"`,
    [name, host, pid, version, concurrency, before(at, upMs), at],
  );
  return noted?.isDraining ?? false;
}

/** Forgets a runner. */
export async function forgetRunner(
  connection: Connection,
  name: string,
): Promise<void> {
  await connection.run("DELETE FROM agent_runners WHERE name = $1", [name]);
}

/** Reads who is there. */
export async function readRunners(
  connection: Connection,
  at: Date,
): Promise<RunnerInfo[]> {
  const rows = await connection.rows<Omit<RunnerInfo, "isGone">>(
    `SELECT name, host, pid, version, concurrency, started_at AS "startedAt",
       seen_at AS "seenAt", draining_at IS NOT NULL AS "isDraining",
       coalesce(tasks, 0) AS "inHand"
     FROM agent_runners LEFT JOIN (
       SELECT lease_owner, count(*)::integer AS tasks FROM agent_tasks
       WHERE lease_id IS NOT NULL AND status IN ('created', 'running')
         AND lease_expires_at > $1::timestamptz
       GROUP BY lease_owner) held ON lease_owner = name
     ORDER BY started_at, name`,
    [at],
  );
  return rows.map((row) => ({ ...row, isGone: +at - +row.seenAt > GONE_MS }));
}

/** Notes that runners are to drain. Returns what came of each, in their order. */
export async function drainRunners(
  connection: Connection,
  names: readonly string[],
  at: Date,
): Promise<DrainResult[]> {
  const rows = await connection.rows<{ name: string }>(
    `UPDATE agent_runners SET draining_at = coalesce(draining_at, $2)
     WHERE name IN (SELECT json_array_elements_text($1::json))
     RETURNING name`,
    [jsonOf(names), at],
  );
  const known = new Set(rows.map(({ name }) => name));
  return names.map((name) => known.has(name) ? "asked" : "missing");
}

function before(at: Date, ms: number): Date {
  return new Date(at.getTime() - ms);
}
