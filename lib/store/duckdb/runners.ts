/**
 * The runners that are there, and those that are to drain.
 *
 * @module
 */

import type { DrainResult, Presence, RunnerInfo } from "../contract.ts";
import { FORGOTTEN_MS, GONE_MS, NOTED_MS } from "../presence.ts";
import type { Connection } from "./connection.ts";

/** What is noted of a runner. */
export interface Noted {
  readonly isDraining: boolean;
  /** That it is there was noted a moment ago. */
  readonly isFresh: boolean;
}

/** Reads what is noted of a runner; undefined where nothing is. */
export async function readPresence(
  connection: Connection,
  name: string,
  at: Date,
): Promise<Noted | undefined> {
  const row = await connection.json<{ seenMs: number; isDraining: boolean }>(
    `SELECT to_json({seenMs: epoch_ms(seen_at),
       isDraining: draining_at IS NOT NULL})
     FROM agent_runners WHERE name = $1`,
    [name],
  );
  if (!row) return undefined;
  const { seenMs, isDraining } = row;
  // However the clock was set meanwhile.
  const isFresh = Math.abs(at.getTime() - seenMs) < NOTED_MS;
  return { isDraining, isFresh };
}

/** Notes that a runner is there, and forgets those that are long gone. */
export async function notePresence(
  connection: Connection,
  { name, host, pid, version, concurrency, upMs }: Presence,
  { at, isKnown }: { readonly at: Date; readonly isKnown: boolean },
): Promise<void> {
  await connection.run(
    "DELETE FROM agent_runners WHERE seen_at < $1::TIMESTAMPTZ AND name <> $2",
    [before(at, FORGOTTEN_MS), name],
  );
  if (isKnown) {
    await connection.run(
      "UPDATE agent_runners SET seen_at = $2::TIMESTAMPTZ WHERE name = $1",
      [name, at],
    );
    return;
  }
  await connection.run(
    `INSERT INTO agent_runners
       (name, host, pid, version, concurrency, started_at, seen_at)
     VALUES ($1, $2, $3, $4, $5, $6::TIMESTAMPTZ, $7::TIMESTAMPTZ)`,
    [
      ...[name, host, pid, version, concurrency],
      ...[before(at, upMs), at],
    ],
  );
}

/** Forgets a runner. */
export async function forgetRunner(
  connection: Connection,
  name: string,
): Promise<void> {
  await connection.run("DELETE FROM agent_runners WHERE name = $1", [name]);
}

/** A runner as its query gives it. */
type RunnerRow = Omit<RunnerInfo, "startedAt" | "seenAt" | "isGone"> & {
  readonly startedMs: number;
  readonly seenMs: number;
};

/** Reads who is there. */
export async function readRunners(
  connection: Connection,
  at: Date,
): Promise<RunnerInfo[]> {
  const rows = await connection.json<RunnerRow[]>(
    `SELECT to_json(list({name: name, host: host, pid: pid, version: version,
       concurrency: concurrency, startedMs: epoch_ms(started_at),
       seenMs: epoch_ms(seen_at), isDraining: draining_at IS NOT NULL,
       inHand: coalesce(tasks, 0)} ORDER BY started_at, name))
     FROM agent_runners LEFT JOIN (
       SELECT lease_owner, count(*) AS tasks FROM agent_tasks
       WHERE status IN ('created', 'running')
         AND lease_expires_at > $1::TIMESTAMPTZ
       GROUP BY ALL) ON lease_owner = name`,
    [at],
  ) ?? [];
  return rows.map(({ startedMs, seenMs, ...row }) => ({
    ...row,
    startedAt: new Date(startedMs),
    seenAt: new Date(seenMs),
    isGone: at.getTime() - seenMs > GONE_MS,
  }));
}

/** Notes that runners are to drain. Returns what came of each, in their order. */
export async function drainRunners(
  connection: Connection,
  names: readonly string[],
  at: Date,
): Promise<DrainResult[]> {
  const isNamed = "name IN (SELECT unnest($1::JSON::TEXT[]))";
  const given = JSON.stringify(names);
  const known = await connection.json<string[]>(
    `SELECT to_json(list(name)) FROM agent_runners WHERE ${isNamed}`,
    [given],
  ) ?? [];
  await connection.run(
    `UPDATE agent_runners SET draining_at = $2::TIMESTAMPTZ
     WHERE draining_at IS NULL AND ${isNamed}`,
    [given, at],
  );
  return names.map((name) => known.includes(name) ? "asked" : "missing");
}

function before(at: Date, ms: number): Date {
  return new Date(at.getTime() - ms);
}
