/**
 * What the live view shows.
 *
 * @module
 */

import type { Overview, OverviewOptions, ShownTask } from "../contract.ts";
import type { TaskState } from "../../task/task.ts";
import type { Connection } from "./connection.ts";
import { dateOf, IS_SIMULATED_END } from "./rows.ts";

/** Longer texts do not fit on a line anyway; a trace must stay whole. */
const MAX_TEXT = 500;
const MAX_TRACE = 100_000;

const SHOWN = `{id: id, provider: provider,
  instruction: left(instruction, ${MAX_TEXT}), state: status,
  traceText: CASE WHEN strlen(last_update) <= ${MAX_TRACE}
    THEN last_update END,
  startedAt: epoch_ms(started_at),
  leaseExpiresAt: epoch_ms(lease_expires_at),
  updatedAt: coalesce(epoch_ms(updated_at), 0)}`;

/** Of the tasks that are shown only: the whole history would take longer. */
const WITH_START = `
  SELECT *, (SELECT max(occurred_at) FROM agent_task_events
    WHERE task_id = shown.id AND kind = 'started') AS started_at FROM shown`;

/** Reads it, as it is at a time, in the transaction that is open on the connection. */
export async function readOverview(
  connection: Connection,
  { at, limit, recentMs }: OverviewOptions & { readonly at: Date },
): Promise<Overview> {
  const counts = await connection.json<{ state: TaskState; n: number }[]>(
    `SELECT to_json(list(t)) FROM (
       SELECT status AS state, count(*) AS n FROM agent_tasks GROUP BY ALL) t`,
  ) ?? [];
  const running = await connection.json<ShownRow[]>(
    `WITH live AS (
       SELECT *, count(*) OVER () AS live_count FROM agent_tasks
       WHERE status = 'running' AND lease_expires_at > $1::TIMESTAMPTZ),
     shown AS (SELECT * FROM live ORDER BY updated_at LIMIT $2)
     SELECT to_json(list({shown: ${SHOWN}, count: live_count}
       ORDER BY started_at, id)) FROM (${WITH_START})`,
    [at, limit],
  ) ?? [];
  const ended = await connection.json<ShownRow[]>(
    `WITH shown AS (
       SELECT * FROM agent_tasks WHERE status IN ('completed', 'failed')
       ORDER BY updated_at DESC LIMIT $1)
     SELECT to_json(list({shown: ${SHOWN}, count: 0}
       ORDER BY updated_at DESC, id)) FROM (${WITH_START})`,
    [limit],
  ) ?? [];
  const seconds = await connection.json<SecondRow[]>(
    `SELECT to_json(list(t)) FROM (
       SELECT epoch_ms(occurred_at) // 1000 AS second, count(*) AS n,
         count(*) FILTER (${IS_SIMULATED_END}) AS simulated
       FROM agent_task_events
       WHERE occurred_at >= $1::TIMESTAMPTZ
         AND kind IN ('completed', 'failed', 'cancelled')
       GROUP BY ALL) t`,
    [new Date(at.getTime() - recentMs)],
  ) ?? [];
  return {
    counts: Object.fromEntries(counts.map(({ state, n }) => [state, n])),
    running: running.map(shownTaskOf),
    runningCount: running[0]?.count ?? 0,
    ended: ended.map(shownTaskOf),
    endedBySecond: new Map(seconds.map(({ second, n }) => [second, n])),
    simulatedLately: seconds.reduce((sum, it) => sum + it.simulated, 0),
  };
}

interface SecondRow {
  readonly second: number;
  readonly n: number;
  readonly simulated: number;
}

interface ShownRow {
  readonly shown: Omit<ShownTask, TimeField> & {
    readonly startedAt: number | null;
    readonly leaseExpiresAt: number | null;
    readonly updatedAt: number;
  };
  readonly count: number;
}

type TimeField = "startedAt" | "leaseExpiresAt" | "updatedAt";

function shownTaskOf({ shown }: ShownRow): ShownTask {
  return {
    ...shown,
    startedAt: dateOf(shown.startedAt),
    leaseExpiresAt: dateOf(shown.leaseExpiresAt),
    updatedAt: new Date(shown.updatedAt),
  };
}
