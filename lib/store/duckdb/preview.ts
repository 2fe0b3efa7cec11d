/**
 * What a claim would do.
 *
 * @module
 */

import type { Preview, PreviewOptions } from "../contract.ts";
import { claimable, isDead, isOneOf } from "./claim.ts";
import type { Connection } from "./connection.ts";
import { RUN_ORDER, TASK_ROW, taskOf, type TaskRow } from "./rows.ts";

/** Looks, in the transaction that is open on the connection; writes nothing. */
export async function previewClaim(
  connection: Connection,
  { limit, now, leaseCutoff = now, maxAttempts, providers }: PreviewOptions,
): Promise<Preview> {
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
         SELECT *, rowid, ${claimable("$1", "$2")}
           AND NOT coalesce(${isDead("$2", "$3")}, false)
           AND ($4::TEXT IS NULL OR ${isOneOf("$4")}) AS isClaimable
         FROM agent_tasks WHERE status NOT IN ('completed', 'failed'))
       QUALIFY position <= $5)`,
    [
      now.toISOString(),
      leaseCutoff.toISOString(),
      maxAttempts,
      providers ? JSON.stringify(providers) : null,
      limit,
    ],
  ) ?? [];
  const claimableRows = rows.filter(({ isClaimable }) => isClaimable);
  const others = rows.filter(({ isClaimable }) => !isClaimable);
  return {
    claimable: claimableRows.map(({ row }) => taskOf(row)),
    claimableCount: claimableRows[0]?.count ?? 0,
    others: others.map(({ row }) => taskOf(row)),
    othersCount: others[0]?.count ?? 0,
  };
}
