/**
 * Batches: how many of their tasks are in which state, and when the last has ended.
 *
 * @module
 */

import {
  type BatchCount,
  batchesOf,
  type BatchReads,
  FINAL_STATES,
  type LastTask,
} from "../batches.ts";
import type { EndedRow } from "../changes.ts";
import type { Batch, BatchOptions } from "../contract.ts";
import { shownState } from "../state_parts.ts";
import type { Connection } from "./connection.ts";
import { retriedIds } from "./retried.ts";
import { STATE_PART } from "./rows.ts";

/** Reads batches: those that got a task last, or the one that is named. */
export async function readBatches(
  connection: Connection,
  { name, limit }: BatchOptions,
): Promise<Batch[]> {
  const names = name === undefined
    ? await connection.json<string[]>(
      `SELECT to_json(list(batch ORDER BY position)) FROM (
         SELECT batch, row_number() OVER (
           ORDER BY max(created_at) DESC, max(rowid) DESC) AS position
         FROM agent_tasks WHERE batch IS NOT NULL GROUP BY batch
         ORDER BY position LIMIT $1)`,
      [limit],
    ) ?? []
    : [name];
  if (names.length === 0) return [];
  const counts = await readCounts(connection, names);
  const costs = await connection.json<{ name: string; usd: number }[]>(
    `SELECT to_json(list(c)) FROM (
       SELECT batch AS name, sum((usage::JSON ->> 'costUsd')::DOUBLE) AS usd
       FROM agent_task_events JOIN agent_tasks t ON t.id = task_id
       WHERE usage IS NOT NULL AND ${IS_NAMED} GROUP BY batch) c
     WHERE usd IS NOT NULL`,
    [JSON.stringify(names)],
  ) ?? [];
  return batchesOf(names, {
    counts,
    costs: new Map(costs.map(({ name, usd }) => [name, usd])),
  });
}

/** Holds for the tasks of the batches in the JSON list $1. */
const IS_NAMED = "batch IN (SELECT unnest($1::JSON::TEXT[]))";

type CountRow = Omit<BatchCount, "createdAt" | "updatedAt"> & {
  readonly createdAt: number;
  readonly updatedAt: number;
};

async function readCounts(
  connection: Connection,
  names: readonly string[],
): Promise<BatchCount[]> {
  const rows = await connection.json<CountRow[]>(
    `SELECT to_json(list(c)) FROM (
       SELECT batch AS name, ${shownState(STATE_PART)} AS state,
         id IN (${retriedIds(IS_NAMED)}) AS isRetried, count(*) AS count,
         coalesce(epoch_ms(min(created_at)), 0) AS createdAt,
         coalesce(epoch_ms(max(updated_at)), 0) AS updatedAt
       FROM agent_tasks WHERE ${IS_NAMED} GROUP BY ALL) c`,
    [JSON.stringify(names)],
  ) ?? [];
  return rows.map((row) => ({
    ...row,
    createdAt: new Date(row.createdAt),
    updatedAt: new Date(row.updatedAt),
  }));
}

/** Reads in the transaction that is open on the connection. */
export function batchReadsOf(connection: Connection): BatchReads {
  return {
    ofTasks: async (ids) =>
      await connection.json<EndedRow[]>(
        `SELECT to_json(list({id: id, batch: batch})) FROM agent_tasks
         WHERE batch IS NOT NULL AND id IN (SELECT unnest($1::JSON::UUID[]))`,
        [JSON.stringify(ids)],
      ) ?? [],
    over: async (last) => {
      const rows = await connection.json<(LastTask & { name: string })[]>(
        `SELECT to_json(list({id: id, name: batch,
           attempt: coalesce(attempt, 0)})) FROM agent_tasks
         WHERE id IN (SELECT unnest($2::JSON::UUID[])) AND batch NOT IN (
           SELECT batch FROM agent_tasks
           WHERE ${IS_NAMED} AND status NOT IN (${FINAL_STATES}))`,
        [JSON.stringify([...last.keys()]), JSON.stringify([...last.values()])],
      ) ?? [];
      return new Map(rows.map(({ name, ...row }) => [name, row]));
    },
    counts: (names) => readCounts(connection, names),
  };
}

/** Of each of these batches, the task that ended last. */
export async function lastEnded(
  connection: Connection,
  names: readonly string[],
): Promise<EndedRow[]> {
  return await connection.json(
    `SELECT to_json(list({id: id, batch: batch})) FROM (
       SELECT id, batch FROM agent_tasks
       WHERE ${IS_NAMED} AND status IN (${FINAL_STATES})
       QUALIFY row_number() OVER (
         PARTITION BY batch ORDER BY updated_at DESC, rowid DESC) = 1)`,
    [JSON.stringify(names)],
  ) ?? [];
}
