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
import { jsonOf, STATE_PART, uuids, WAS_RETRIED } from "./rows.ts";

/** Any number, the same in all runners; beside it that of a batch's name. */
const BATCH_LOCK = 7_311_658;

/** Reads batches: those that got a task last, or the one that is named. */
export async function readBatches(
  connection: Connection,
  { name, limit }: BatchOptions,
): Promise<Batch[]> {
  const found = name === undefined
    ? await connection.rows<{ name: string }>(
      `SELECT batch AS name FROM agent_tasks WHERE batch IS NOT NULL
       GROUP BY batch ORDER BY max(created_at) DESC, max(seq) DESC LIMIT $1`,
      [limit],
    )
    : [{ name }];
  const names = found.map(({ name }) => name);
  if (names.length === 0) return [];
  const counts = await readCounts(connection, names);
  const costs = await connection.rows<{ name: string; usd: number }>(
    `SELECT batch AS name,
       coalesce(sum((usage::json ->> 'costUsd')::float8), 0) AS usd
     FROM agent_task_events JOIN agent_tasks t ON t.id = task_id
     WHERE usage IS NOT NULL AND ${IS_NAMED} GROUP BY batch`,
    [jsonOf(names)],
  );
  return batchesOf(names, {
    counts,
    costs: new Map(costs.map(({ name, usd }) => [name, usd])),
  });
}

/** Holds for the tasks of the batches in the JSON list $1. */
const IS_NAMED = "batch IN (SELECT json_array_elements_text($1::json))";

async function readCounts(
  connection: Connection,
  names: readonly string[],
): Promise<BatchCount[]> {
  return await connection.rows<BatchCount>(
    `SELECT batch AS name, ${shownState(STATE_PART)} AS state,
       ${WAS_RETRIED} AS "isRetried", count(*)::integer AS count,
       min(created_at) AS "createdAt", max(updated_at) AS "updatedAt"
     FROM agent_tasks WHERE ${IS_NAMED} GROUP BY 1, 2, 3`,
    [jsonOf(names)],
  );
}

/** Holds for a task of a batch that has not ended: an index has those. */
export const IS_OPEN_IN_BATCH =
  `batch IS NOT NULL AND status NOT IN (${FINAL_STATES})`;

/**
 * Reads in the transaction that is open on the connection. Two that end the last
 * tasks of one batch at the same time see each other: the second waits until the
 * first has committed, and only then looks what is left. What it locks, it locks
 * last.
 */
export function batchReadsOf(connection: Connection): BatchReads {
  return {
    ofTasks: (ids) =>
      connection.rows<EndedRow>(
        `SELECT id, batch FROM agent_tasks
         WHERE batch IS NOT NULL AND id = ANY ($1::uuid[])`,
        [uuids(ids)],
      ),
    over: async (last) => {
      await lockBatches(connection, [...last.keys()]);
      const rows = await connection.rows<LastTask & { name: string }>(
        `SELECT id, batch AS name, attempt FROM agent_tasks t
         WHERE id = ANY ($1::uuid[]) AND NOT EXISTS (
           SELECT FROM agent_tasks o
           WHERE o.batch = t.batch AND ${IS_OPEN_IN_BATCH})`,
        [uuids([...last.values()])],
      );
      return new Map(rows.map(({ name, ...row }) => [name, row]));
    },
    counts: (names) => readCounts(connection, names),
  };
}

/**
 * Of each of these batches, the task that ended last. Who is ending one of them
 * meanwhile is waited for.
 */
export async function lastEnded(
  connection: Connection,
  names: readonly string[],
): Promise<EndedRow[]> {
  await lockBatches(connection, names);
  return await connection.rows(
    `SELECT DISTINCT ON (batch) id, batch FROM agent_tasks
     WHERE ${IS_NAMED} AND status IN (${FINAL_STATES})
     ORDER BY batch, updated_at DESC, seq DESC`,
    [jsonOf(names)],
  );
}

async function lockBatches(
  connection: Connection,
  names: readonly string[],
): Promise<void> {
  // In the order of the locks, so that two do not wait for each other.
  await connection.rows(
    `SELECT pg_advisory_xact_lock(${BATCH_LOCK}, hash) FROM (
       SELECT DISTINCT hashtext(current_schema() || '/' || name) AS hash
       FROM json_array_elements_text($1::json) AS name ORDER BY hash) hashes`,
    [jsonOf(names)],
  );
}
