/**
 * The graph of tasks as JSON.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import { IF_FAILED, type JsonObject, type TaskState } from "../task/task.ts";
import { anyState, uuid, wholeNumber } from "./api/task_schemas.ts";
import type { GraphTask, TaskGraph } from "../store/contract.ts";
import type { ShownState } from "../task/shown_state.ts";

/** The most tasks of one graph. */
const MAX_GRAPH_TASKS = 10_000;

/** How much of a graph is asked for. */
export const graphQuerySchema = z.object({
  limit: wholeNumber(1, MAX_GRAPH_TASKS).default(1_000),
});

/** Some tasks, and which waits for which. */
export const graphSchema = z.object({
  nodes: z.array(z.object({
    id: uuid,
    key: z.string().nullable(),
    instruction: z.string().nullable().openapi({
      description: "Its beginning",
    }),
    provider: z.string(),
    state: anyState,
    shown_state: z.string(),
    if_failed: z.enum(IF_FAILED).nullable(),
  })),
  edges: z.array(z.object({
    task: uuid,
    after: uuid.openapi({ description: "What the task waits for" }),
  })),
  has_more: z.boolean().openapi({ description: "There are more tasks" }),
}).openapi("TaskGraph");

/** Tasks that ended because of others. */
export const dependentsSchema = z.object({ ids: z.array(uuid) })
  .openapi("Dependents");

/** A graph as JSON. */
export function graphToJson({ nodes, edges, hasMore }: TaskGraph): JsonObject {
  return {
    nodes: nodes.map(({ shownState, ifFailed, ...node }) => ({
      ...node,
      shown_state: shownState,
      if_failed: ifFailed,
    })),
    edges: edges.map((edge) => ({ ...edge })),
    has_more: hasMore,
  };
}

/** A graph from its JSON. */
export function graphFromJson(
  { nodes, edges, has_more }: z.output<typeof graphSchema>,
): TaskGraph {
  return {
    nodes: nodes.map((
      { state, shown_state, if_failed, ...node },
    ): GraphTask => ({
      ...node,
      state: state as TaskState,
      shownState: shown_state as ShownState,
      ifFailed: if_failed,
    })),
    edges,
    hasMore: has_more,
  };
}
