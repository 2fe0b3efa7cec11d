/**
 * What a claim would do.
 *
 * @module
 */

import type { Preview, PreviewOptions } from "../contract.ts";
import { fullProviders, globalRoomOf } from "../decisions.ts";
import { heldCounts, type HeldRow, reasonsOf } from "../limits.ts";
import { isAllPaused, pausedBatches, providersIn } from "../pauses.ts";
import { isClaimable, isOneOf } from "./candidates.ts";
import { countInHand } from "./claim.ts";
import type { Connection } from "./connection.ts";
import { readBlockedBy } from "./graph.ts";
import { readHolds } from "./limits.ts";
import { readPauses } from "./pauses.ts";
import { RUN_ORDER, TASK_ROW, taskOf, type TaskRow } from "./rows.ts";
import { Values } from "./values.ts";

interface PreviewRow extends Omit<HeldRow, "id"> {
  readonly row: TaskRow;
  readonly isClaimable: boolean;
  readonly count: number;
}

type CountRow = Omit<HeldRow, "id"> & {
  readonly provider: string;
  readonly count: number;
};

/** Looks, in the transaction that is open on the connection; writes nothing. */
export async function previewClaim(
  connection: Connection,
  options: PreviewOptions & { readonly now: Date },
): Promise<Preview> {
  const { limit, now, maxAttempts, providers, globalLimits, taskId } = options;
  const globalRoom = globalRoomOf(
    globalLimits ?? new Map(),
    await countInHand(connection, now),
  );
  const pauses = await readPauses(connection, now);
  const { only, except } = fullProviders(providers, globalRoom);
  const isNone = isAllPaused(pauses, now);
  const batches = pausedBatches(pauses, now);
  const values = new Values();
  const { holds, ...held } = await readHolds(connection, options, values);
  const at = values.time(now);
  const list = (names: readonly string[]) => values.bind(JSON.stringify(names));
  const paused = providersIn(pauses, "paused", now);
  const would = [
    isClaimable(at, at, `${values.bind(maxAttempts)}::INTEGER`),
    ...only ? [isOneOf(list(only))] : [],
    `NOT ${isOneOf(list([...except, ...paused]))}`,
    `coalesce(batch NOT IN (SELECT unnest(${
      list(batches)
    }::JSON::TEXT[])), true)`,
    `NOT ${values.bind(isNone)}::BOOLEAN`,
  ].map((it) => `(${it})`).join(" AND ");
  const isOne = taskId === undefined
    ? "true"
    : `id = ${values.bind(taskId)}::UUID`;
  const { rows, counts } = await connection.json<
    { rows: PreviewRow[] | null; counts: CountRow[] | null }
  >(
    `WITH looked AS (
       SELECT *, rowid, (${would}) AS would, ${held.group} AS held_group,
         ${held.key} AS held_key
       FROM agent_tasks
       WHERE status NOT IN ('completed', 'failed') AND ${isOne}),
     ranked AS (
       SELECT ${TASK_ROW} AS row, held_group, held_key,
         would AND held_group IS NULL AS isClaimable,
         row_number() OVER (PARTITION BY isClaimable ORDER BY ${RUN_ORDER})
           AS position,
         count(*) OVER (PARTITION BY isClaimable) AS count
       FROM looked QUALIFY position <= ${values.bind(limit)}),
     counted AS (
       SELECT provider, held_group, held_key, count(*) AS count FROM looked
       WHERE would AND held_group IS NOT NULL GROUP BY ALL)
     SELECT to_json({
       rows: (SELECT list({row: row, isClaimable: isClaimable, count: count,
         heldGroup: held_group, heldKey: held_key} ORDER BY position)
         FROM ranked),
       counts: (SELECT list({provider: provider, count: count,
         heldGroup: held_group, heldKey: held_key}) FROM counted)})`,
    values.list,
  ) ?? { rows: null, counts: null };
  const claimableRows = rows?.filter(({ isClaimable }) => isClaimable) ?? [];
  const others = rows?.filter(({ isClaimable }) => !isClaimable) ?? [];
  const heldRows = others.map(({ row, ...it }) => ({ ...it, id: row.task.id }));
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
    heldBy: reasonsOf(heldRows, holds),
    held: heldCounts(counts ?? [], holds),
  };
}
