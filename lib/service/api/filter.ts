/**
 * From what a query says to what chooses tasks, and back.
 *
 * @module
 */

import type { z } from "@hono/zod-openapi";
import type { TaskFilter } from "../../store/contract.ts";
import type { filterQuerySchema } from "./action_schemas.ts";

/** What a query chooses tasks by. */
export function filterOf(
  query: z.output<typeof filterQuerySchema>,
): TaskFilter {
  const { state, provider, batch, key, tag, q, since, before } = query;
  return {
    states: state,
    provider,
    batch,
    key,
    tags: tag,
    text: q?.trim() || undefined,
    createdSince: since === undefined ? undefined : new Date(since),
    createdBefore: before === undefined ? undefined : new Date(before),
  };
}

/** The query that says the same. */
export function queryOf(
  filter: TaskFilter,
): Record<keyof z.input<typeof filterQuerySchema>, string | undefined> {
  return {
    state: filter.states?.join(","),
    provider: filter.provider,
    batch: filter.batch,
    key: filter.key,
    tag: filter.tags?.join(","),
    q: filter.text,
    since: filter.createdSince?.toISOString(),
    before: filter.createdBefore?.toISOString(),
  };
}
