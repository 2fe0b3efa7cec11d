/**
 * What the live view shows.
 *
 * @module
 */

import type { TaskState } from "../../task/task.ts";
import type { Overview, OverviewOptions, ShownTask } from "../contract.ts";
import type { Connection } from "./connection.ts";
import { IS_SIMULATED_END } from "./rows.ts";

/** Longer texts do not fit on a line anyway; a trace must stay whole. */
const MAX_TEXT = 500;
const MAX_TRACE = 100_000;

/** With its last start, of the tasks that are shown only: of all it takes longer. */
const SHOWN = `id, provider, left(instruction, ${MAX_TEXT}) AS instruction,
  status AS state,
  CASE WHEN octet_length(last_update) <= ${MAX_TRACE} THEN last_update END
    AS "traceText",
  (SELECT max(occurred_at) FROM agent_task_events e
    WHERE e.task_id = shown.id AND kind = 'started') AS "startedAt",
  lease_expires_at AS "leaseExpiresAt", updated_at AS "updatedAt"`;

const IS_LIVE = `lease_id IS NOT NULL AND status = 'running'
  AND lease_expires_at > $1::timestamptz`;

/** Reads it, as it is at a time, in the transaction that is open on the connection. */
export async function readOverview(
  connection: Connection,
  { at, limit, recentMs }: OverviewOptions & { readonly at: Date },
): Promise<Overview> {
  const counts = await connection.rows<{ state: TaskState; n: number }>(
    `SELECT status AS state, count(*) AS n FROM agent_tasks GROUP BY status`,
  );
  const running = await connection.rows<ShownTask>(
    `SELECT ${SHOWN} FROM (
       SELECT * FROM agent_tasks WHERE ${IS_LIVE}
       ORDER BY updated_at LIMIT $2) shown
     ORDER BY "startedAt", id`,
    [at, limit],
  );
  const [live] = await connection.rows<{ n: number }>(
    `SELECT count(*) AS n FROM agent_tasks WHERE ${IS_LIVE}`,
    [at],
  );
  const ended = await connection.rows<ShownTask>(
    `SELECT ${SHOWN} FROM (
       SELECT * FROM agent_tasks WHERE status IN ('completed', 'failed')
       ORDER BY updated_at DESC LIMIT $1) shown
     ORDER BY updated_at DESC, id`,
    [limit],
  );
  const seconds = await connection.rows<
    { second: number; n: number; simulated: number }
  >(
    `SELECT floor(extract(epoch FROM occurred_at))::bigint AS second,
       count(*) AS n, count(*) FILTER (WHERE ${IS_SIMULATED_END}) AS simulated
     FROM agent_task_events
     WHERE occurred_at >= $1::timestamptz
       AND kind IN ('completed', 'failed', 'cancelled')
     GROUP BY 1`,
    [new Date(at.getTime() - recentMs)],
  );
  return {
    counts: Object.fromEntries(counts.map(({ state, n }) => [state, n])),
    running,
    runningCount: live?.n ?? 0,
    ended,
    endedBySecond: new Map(seconds.map(({ second, n }) => [second, n])),
    simulatedLately: seconds.reduce((sum, it) => sum + it.simulated, 0),
  };
}
