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
import { STATE_PART, uuids } from "./rows.ts";

const IS_ONE = "= ANY ($1::uuid[])";

/** Reads the graph around a task. */
export function readGraph(
  connection: Connection,
  id: string,
  limit: number,
): Promise<TaskGraph> {
  return graphAround(id.toLowerCase(), {
    limit,
    reads: {
      async neighbours(ids, limit) {
        const rows = await connection.rows<{ id: string }>(
          `SELECT after_id AS id FROM agent_task_dependencies
           WHERE task_id ${IS_ONE}
           UNION SELECT task_id FROM agent_task_dependencies
           WHERE after_id ${IS_ONE} LIMIT $2`,
          [uuids(ids), limit],
        );
        return rows.map(({ id }) => id);
      },
      tasks: (ids) =>
        connection.rows<GraphTask>(
          `SELECT id, key, left(instruction, ${GRAPH_INSTRUCTION}) AS instruction,
             provider, status AS state, ${shownState(STATE_PART)}
               AS "shownState", if_failed AS "ifFailed"
           FROM agent_tasks WHERE id ${IS_ONE}`,
          [uuids(ids)],
        ),
      edges: (ids, limit) =>
        connection.rows<TaskGraph["edges"][number]>(
          `SELECT task_id AS task, after_id AS after
           FROM agent_task_dependencies
           WHERE task_id ${IS_ONE} AND after_id ${IS_ONE}
           ORDER BY task_id, position LIMIT $2`,
          [uuids(ids), limit],
        ),
    },
  });
}

/** Reads what came of the tasks that one waited for. */
export async function readResults(
  connection: Connection,
  taskId: string,
): Promise<TaskResult[]> {
  const tasks = await connection.rows<EndedBefore>(
    `SELECT a.id, a.key, a.provider,
       left(a.instruction, ${MAX_LISTED_TEXT}) AS instruction,
       a.status AS state, coalesce(octet_length(a.last_update), 0) AS size
     FROM agent_task_dependencies d JOIN agent_tasks a ON a.id = d.after_id
     WHERE d.task_id = $1::uuid ORDER BY d.position`,
    [taskId],
  );
  return await resultsOf(tasks, async (ids) => {
    const rows = await connection.rows<{ id: string; trace: string | null }>(
      `SELECT id, last_update AS trace FROM agent_tasks WHERE id ${IS_ONE}`,
      [uuids(ids)],
    );
    return new Map(rows.map(({ id, trace }) => [id, trace]));
  });
}

/** What keeps each of these tasks from being claimed. */
export async function readBlockedBy(
  connection: Connection,
  ids: readonly string[],
): Promise<Map<string, BlockedBy>> {
  if (ids.length === 0) return new Map();
  const rows = await connection.rows<BlockedBy & { readonly taskId: string }>(
    `SELECT DISTINCT ON (d.task_id) d.task_id AS "taskId", a.id,
       a.status AS state, count(*) OVER (PARTITION BY d.task_id)::integer AS count
     FROM agent_task_dependencies d JOIN agent_tasks a ON a.id = d.after_id
     WHERE d.task_id ${IS_ONE} AND a.status NOT IN ('completed', 'failed')
     ORDER BY d.task_id, d.position`,
    [uuids(ids)],
  );
  return new Map(rows.map(({ taskId, ...blocked }) => [taskId, blocked]));
}
