/**
 * What a claim would do.
 *
 * @module
 */

import type { AgentTask } from "../../task/task.ts";
import type { Preview, PreviewOptions } from "../contract.ts";
import { fullProviders, globalRoomOf } from "../decisions.ts";
import { heldCounts, type HeldRow, reasonsOf } from "../limits.ts";
import { isAllPaused, pausedBatches, providersIn } from "../pauses.ts";
import { IS_CLAIMABLE, isNotOf } from "./candidates.ts";
import { countInHand } from "./claim.ts";
import type { Connection } from "./connection.ts";
import { readBlockedBy } from "./graph.ts";
import { LimitValues, readHolds } from "./limits.ts";
import { readPauses } from "./pauses.ts";
import { isOneOf, jsonOf, RUN_ORDER, TASK } from "./rows.ts";

type TaskRow = AgentTask & HeldRow;
type CountRow = Omit<HeldRow, "id"> & {
  readonly provider: string;
  readonly count: number;
};

/** Looks, in the transaction that is open on the connection; writes nothing. */
export async function previewClaim(
  connection: Connection,
  options: PreviewOptions & { readonly at: Date },
): Promise<Preview> {
  const { limit, at, maxAttempts, providers, globalLimits, taskId } = options;
  const globalRoom = globalRoomOf(
    globalLimits ?? new Map(),
    await countInHand(connection, at),
  );
  const pauses = await readPauses(connection, at);
  const { only, except } = fullProviders(providers, globalRoom);
  const paused = providersIn(pauses, "paused", at);
  const values = new LimitValues(
    ...[at, maxAttempts, only ? jsonOf(only) : null],
    ...[jsonOf([...except, ...paused]), jsonOf(pausedBatches(pauses, at))],
    ...[isAllPaused(pauses, at), taskId ?? null],
  );
  const { holds, ...held } = await readHolds(connection, options, values);
  const open = `(SELECT *, coalesce(${IS_CLAIMABLE} AND ${isOneOf("$3")}
      AND NOT ${isOneOf("$4")} AND ${isNotOf("$5")} AND NOT $6::boolean, false)
      AS would, ${held.group} AS held_group, ${held.key} AS held_key
    FROM agent_tasks WHERE status NOT IN ('completed', 'failed')
      AND ($7::uuid IS NULL OR id = $7::uuid)) looked`;
  const isNext = "(would AND held_group IS NULL)";
  const heldBy = `held_group AS "heldGroup", held_key AS "heldKey"`;
  const first = (condition: string) =>
    connection.rows<TaskRow>(
      `SELECT ${TASK}, ${heldBy} FROM ${open} WHERE ${condition}
       ORDER BY ${RUN_ORDER} LIMIT $${values.list.length + 1}`,
      [...values.list, limit],
    );
  const claimable = await first(isNext);
  const others = await first(`NOT ${isNext}`);
  const [counts] = await connection.rows<
    Pick<Preview, "claimableCount" | "othersCount">
  >(
    `SELECT count(*) FILTER (WHERE ${isNext}) AS "claimableCount",
       count(*) FILTER (WHERE NOT ${isNext}) AS "othersCount" FROM ${open}`,
    values.list,
  );
  const waiting = await connection.rows<CountRow>(
    `SELECT provider, ${heldBy}, count(*)::integer AS count FROM ${open}
     WHERE would AND held_group IS NOT NULL
     GROUP BY provider, held_group, held_key`,
    values.list,
  );
  return {
    claimable: claimable.map(taskIn),
    claimableCount: counts?.claimableCount ?? 0,
    others: others.map(taskIn),
    othersCount: counts?.othersCount ?? 0,
    globalRoom,
    pauses,
    blockedBy: await readBlockedBy(
      connection,
      others.filter(({ isBlocked }) => isBlocked).map(({ id }) => id),
    ),
    heldBy: reasonsOf(others, holds),
    held: heldCounts(waiting, holds),
  };
}

function taskIn({ heldGroup: _, heldKey: __, ...task }: TaskRow): AgentTask {
  return task;
}
