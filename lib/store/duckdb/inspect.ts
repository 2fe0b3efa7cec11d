/**
 * What `doctor` looks at among the tasks.
 *
 * @module
 */

import { TASK_STATES } from "../../task/task.ts";
import type { TaskCount, TaskFindings } from "../contract.ts";
import type { Connection } from "./connection.ts";

/** What can be asked, and not written. */
export type Readable = Pick<Connection, "json">;

/** Clocks of machines differ by less. */
const CLOCK_SLACK_MS = 60_000;
/** A runner renews its leases long before. */
const LONG_LEASES = 10;

/** Looks at the tasks; `leaseMs` is the lease that a runner takes. */
export async function findTasks(
  connection: Readable,
  { now, leaseMs }: { readonly now: Date; readonly leaseMs: number },
): Promise<TaskFindings> {
  const aged = (condition: string, since: string) =>
    `{
    count: count(*) FILTER (${condition}),
    oldestMs: coalesce($1 - min(${since}) FILTER (${condition}), 0)}`;
  const isLive = "coalesce(lease > $1, false)";
  const found = await connection.json<
    Omit<TaskFindings, "runners" | "waitingProviders">
  >(
    `SELECT to_json({
       total: count(*),
       inFuture: count(*) FILTER (greatest(created, updated) > $2),
       longLeases: count(*) FILTER (status = 'running' AND lease > $3),
       waiting: ${
      aged(
        `status = 'created' AND NOT ${isLive} AND coalesce(run <= $1, true)`,
        "greatest(created, run)",
      )
    },
       abandoned: ${
      aged(
        `status = 'running' AND NOT ${isLive} AND NOT wanted_cancelled
           AND coalesce(run <= $1, true)`,
        "greatest(updated, run, lease)",
      )
    },
       asking: ${aged("status = 'needs_input'", "updated")},
       uncancelled: ${
      aged(
        `status IN ('created', 'running') AND NOT ${isLive}
           AND wanted_cancelled`,
        "updated",
      )
    },
       unknownStates: coalesce(list(DISTINCT status) FILTER (
         status NOT IN ('${TASK_STATES.join("', '")}')), [])})
     FROM (SELECT status, cancel_requested_at IS NOT NULL AS wanted_cancelled,
         epoch_ms(created_at) AS created, epoch_ms(updated_at) AS updated,
         epoch_ms(run_at) AS run, epoch_ms(lease_expires_at) AS lease
       FROM agent_tasks)`,
    [
      now.getTime(),
      now.getTime() + CLOCK_SLACK_MS,
      now.getTime() + LONG_LEASES * leaseMs,
    ],
  );
  const counted = async (column: string, condition: string) =>
    await connection.json<TaskCount[]>(
      `SELECT to_json(list(t ORDER BY name)) FROM (
         SELECT coalesce(${column}, '') AS name, count(*) AS tasks
         FROM agent_tasks WHERE ${condition} GROUP BY ALL) t`,
      [now.toISOString()],
    ) ?? [];
  const isHeld = "coalesce(lease_expires_at > $1::TIMESTAMPTZ, false)";
  return {
    ...NOTHING,
    ...found,
    runners: await counted("lease_owner", `status = 'running' AND ${isHeld}`),
    waitingProviders: await counted(
      "provider",
      `status IN ('created', 'running') AND NOT ${isHeld}`,
    ),
  };
}

const NONE = { count: 0, oldestMs: 0 };

/** What an empty table has. */
const NOTHING = {
  total: 0,
  inFuture: 0,
  longLeases: 0,
  waiting: NONE,
  abandoned: NONE,
  asking: NONE,
  uncancelled: NONE,
  unknownStates: [],
};
