/**
 * The graph of tasks as JSON.
 *
 * @module
 */

import type { z } from "@hono/zod-openapi";
import type { GraphTask, TaskGraph } from "../store/contract.ts";
import type { ShownState } from "../task/shown_state.ts";
import type { JsonObject, TaskState } from "../task/task.ts";
import type { graphSchema } from "./api/graph_schemas.ts";

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
