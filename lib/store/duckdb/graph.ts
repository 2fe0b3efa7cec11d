/**
 * Reading which task waits for which.
 *
 * @module
 */

import {
  type BlockedBy,
  type GraphTask,
  MAX_LISTED_TEXT,
  type TaskGraph,
} from "../contract.ts";
import type { TaskResult } from "../../task/task.ts";
import {
  type EndedBefore,
  GRAPH_INSTRUCTION,
  graphAround,
  resultsOf,
} from "../graph.ts";
import { shownState } from "../state_parts.ts";
import type { Connection } from "./connection.ts";
import { STATE_PART } from "./rows.ts";

const IS_ONE = "IN (SELECT unnest($1::JSON::UUID[]))";

/** Reads the graph around a task. */
export function readGraph(
  connection: Connection,
  id: string,
  limit: number,
): Promise<TaskGraph> {
  const read = async <T>(sql: string, ids: readonly string[], limit?: number) =>
    await connection.json<T[]>(sql, [
      JSON.stringify(ids),
      ...limit === undefined ? [] : [limit],
    ]) ?? [];
  return graphAround(id.toLowerCase(), {
    limit,
    reads: {
      neighbours: (ids, limit) =>
        read<string>(
          `SELECT to_json(list(id)) FROM (
             SELECT after_id AS id FROM agent_task_dependencies
             WHERE task_id ${IS_ONE}
             UNION SELECT task_id FROM agent_task_dependencies
             WHERE after_id ${IS_ONE} LIMIT $2)`,
          ids,
          limit,
        ),
      tasks: (ids) =>
        read<GraphTask>(
          `SELECT to_json(list({id: id, key: key,
             instruction: left(instruction, ${GRAPH_INSTRUCTION}),
             provider: provider, state: status,
             shownState: ${shownState(STATE_PART)}, ifFailed: if_failed}))
           FROM agent_tasks WHERE id ${IS_ONE}`,
          ids,
        ),
      edges: (ids, limit) =>
        read<TaskGraph["edges"][number]>(
          `SELECT to_json(list({task: task_id, after: after_id}
             ORDER BY task_id, position)) FROM (
             SELECT * FROM agent_task_dependencies
             WHERE task_id ${IS_ONE} AND after_id ${IS_ONE} LIMIT $2)`,
          ids,
          limit,
        ),
    },
  });
}

/** Reads what came of the tasks that one waited for. */
export async function readResults(
  connection: Connection,
  taskId: string,
): Promise<TaskResult[]> {
  const tasks = await connection.json<EndedBefore[]>(
    `SELECT to_json(list({id: a.id, key: a.key, provider: a.provider,
       instruction: left(a.instruction, ${MAX_LISTED_TEXT}), state: a.status,
       size: coalesce(strlen(a.last_update), 0)} ORDER BY d.position))
     FROM agent_task_dependencies d JOIN agent_tasks a ON a.id = d.after_id
     WHERE d.task_id = $1::UUID`,
    [taskId],
  ) ?? [];
  return await resultsOf(tasks, async (ids) => {
    const traces = await connection.json<[string, string | null][]>(
      `SELECT to_json(list([id::TEXT, last_update])) FROM agent_tasks
       WHERE id ${IS_ONE}`,
      [JSON.stringify(ids)],
    );
    return new Map(traces);
  });
}

/** What keeps each of these tasks from being claimed. */
export async function readBlockedBy(
  connection: Connection,
  ids: readonly string[],
): Promise<Map<string, BlockedBy>> {
  if (ids.length === 0) return new Map();
  const rows = await connection.json<(BlockedBy & { taskId: string })[]>(
    `SELECT to_json(list(b)) FROM (
       SELECT d.task_id AS taskId, arg_min(a.id, d.position) AS id,
         arg_min(a.status, d.position) AS state, count(*) AS count
       FROM agent_task_dependencies d JOIN agent_tasks a ON a.id = d.after_id
       WHERE d.task_id ${IS_ONE} AND a.status NOT IN ('completed', 'failed')
       GROUP BY d.task_id) b`,
    [JSON.stringify(ids)],
  ) ?? [];
  return new Map(rows.map(({ taskId, ...blocked }) => [taskId, blocked]));
}
