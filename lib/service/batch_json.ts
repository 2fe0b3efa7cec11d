/**
 * Batches as JSON: as `batches --json` prints them, and the HTTP API.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import { count, shortName, time, wholeNumber } from "./api/task_schemas.ts";
import type { Batch } from "../store/contract.ts";

/** The most batches of one answer. */
export const MAX_BATCHES = 500;

/** Which batches to list. */
export const batchesQuerySchema = z.object({
  name: shortName.optional().openapi({ description: "Only this one" }),
  limit: wholeNumber(1, MAX_BATCHES).default(50),
});

/** The name of a batch in a path. */
export const batchParamSchema = z.object({
  name: shortName.openapi({ param: { name: "name", in: "path" } }),
});

/** The tasks that share a name. */
export const batchSchema = z.object({
  name: z.string(),
  states: z.record(z.string(), count).openapi({
    description: "How many tasks are in each state that occurs, by its " +
      "shown_state; without those that a later one repeats",
  }),
  total: count,
  ended: count,
  completed: count.openapi({ description: "Simulated ones included" }),
  failed: count.openapi({ description: "Without those that were cancelled" }),
  retried: count.openapi({
    description: "Tasks that a later one repeats: they count nowhere else",
  }),
  created_at: time.openapi({ description: "When the first was created" }),
  ended_at: time.nullable().openapi({
    description: "When the last one ended; null while one has not",
  }),
  cost_usd: z.number().openapi({
    description: "What all runs cost, as far as agents tell",
  }),
}).openapi("Batch");

/** Batches. */
export const batchesSchema = z.object({
  batches: z.array(batchSchema).openapi({
    description: "Those that got a task last, latest first",
  }),
}).openapi("Batches");

/** A batch with the names that JSON has. */
export function batchToJson(
  { counts, createdAt, endedAt, costUsd, ...rest }: Batch,
): z.infer<typeof batchSchema> {
  return {
    ...rest,
    states: { ...counts },
    created_at: createdAt.toISOString(),
    ended_at: endedAt?.toISOString() ?? null,
    cost_usd: costUsd,
  };
}

/** The batch that {@linkcode batchToJson} wrote. */
export function batchFromJson(
  { states, created_at, ended_at, cost_usd, ...rest }: z.infer<
    typeof batchSchema
  >,
): Batch {
  return {
    ...rest,
    counts: states,
    createdAt: new Date(created_at),
    endedAt: ended_at === null ? null : new Date(ended_at),
    costUsd: cost_usd,
  };
}
