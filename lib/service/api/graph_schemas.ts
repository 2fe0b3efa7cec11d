/**
 * What requests for the graph of tasks and their responses look like.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import { IF_FAILED } from "../../task/task.ts";
import { anyState, uuid, wholeNumber } from "./task_schemas.ts";

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
