/**
 * What a claim would do.
 *
 * @module
 */

import type { Preview, PreviewOptions } from "../contract.ts";
import { fullProviders, globalRoomOf } from "../decisions.ts";
import { countInHand, isClaimable, isOneOf } from "./claim.ts";
import { providersIn } from "../pauses.ts";
import type { Connection } from "./connection.ts";
import { readBlockedBy } from "./graph.ts";
import { readPauses } from "./pauses.ts";
import { RUN_ORDER, TASK_ROW, taskOf, type TaskRow } from "./rows.ts";

const AT = "$1::TIMESTAMPTZ";

/** Looks, in the transaction that is open on the connection; writes nothing. */
export async function previewClaim(
  connection: Connection,
  options: PreviewOptions & { readonly now: Date },
): Promise<Preview> {
  const { limit, now, maxAttempts, providers, globalLimits } = options;
  const globalRoom = globalRoomOf(
    globalLimits ?? new Map(),
    await countInHand(connection, now),
  );
  const pauses = await readPauses(connection, now);
  const { only, except } = fullProviders(providers, globalRoom);
  const paused = providersIn(pauses, "paused", now);
  const rows = await connection.json<
    { row: TaskRow; isClaimable: boolean; count: number }[]
  >(
    `SELECT to_json(list(
       {row: row, isClaimable: isClaimable, count: count} ORDER BY position))
     FROM (
       SELECT ${TASK_ROW} AS row, isClaimable,
         row_number() OVER (PARTITION BY isClaimable ORDER BY ${RUN_ORDER})
           AS position,
         count(*) OVER (PARTITION BY isClaimable) AS count
       FROM (
         SELECT *, rowid, (${isClaimable(AT, AT, "$2::INTEGER")})
           AND ($3::TEXT IS NULL OR ${isOneOf("$3")})
           AND NOT ${isOneOf("$5")} AS isClaimable
         FROM agent_tasks WHERE status NOT IN ('completed', 'failed'))
       QUALIFY position <= $4)`,
    [
      now.toISOString(),
      maxAttempts,
      only ? JSON.stringify(only) : null,
      limit,
      JSON.stringify([...except, ...paused]),
    ],
  ) ?? [];
  const claimableRows = rows.filter(({ isClaimable }) => isClaimable);
  const others = rows.filter(({ isClaimable }) => !isClaimable);
  const blocked = others.filter(({ row }) => row.task.isBlocked);
  return {
    claimable: claimableRows.map(({ row }) => taskOf(row)),
    claimableCount: claimableRows[0]?.count ?? 0,
    others: others.map(({ row }) => taskOf(row)),
    othersCount: others[0]?.count ?? 0,
    globalRoom,
    pauses,
    blockedBy: await readBlockedBy(
      connection,
      blocked.map(({ row }) => row.task.id),
    ),
  };
}
