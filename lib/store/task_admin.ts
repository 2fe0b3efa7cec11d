/**
 * What people's commands ask of tasks, be those in a file or behind a service.
 *
 * @module
 */

import type { TaskHistory } from "./history.ts";
import type { TaskStore } from "./contract.ts";
import type { TaskSets } from "./task_sets.ts";

/** Tasks as commands see them. */
export interface TaskDesk extends
  AsyncDisposable,
  Pick<
    TaskStore,
    "create" | "findByPrefix" | "list" | "events" | "answer" | "changeCount"
  > {
  readonly sets: TaskSets;
  readonly history: TaskHistory;
}
