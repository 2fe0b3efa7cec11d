/**
 * Which tasks, or which of their history, are exported.
 *
 * @module
 */

import type { ExportOptions, TaskFilter } from "../contract.ts";
import { timeConditions } from "../filter.ts";

/** The rows that are exported: what follows SELECT and the columns. */
export function exportedRows(
  { events, createdSince, createdBefore, ...rest }: ExportOptions,
  { chosenBy, bind }: {
    /** Holds for the tasks that a filter chooses. */
    readonly chosenBy: (filter: TaskFilter) => string;
    readonly bind: (value: string) => string;
  },
): string {
  const times = { createdSince, createdBefore };
  if (!events) {
    return `FROM agent_tasks WHERE ${chosenBy({ ...rest, ...times })}`;
  }
  const isOfChosen = chosenBy(rest);
  const conditions = [
    isOfChosen === "true"
      ? isOfChosen
      : `task_id IN (SELECT id FROM agent_tasks WHERE ${isOfChosen})`,
    ...timeConditions("occurred_at", times, bind),
  ];
  return `FROM agent_task_events WHERE ${conditions.join(" AND ")}`;
}
