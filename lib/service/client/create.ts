/**
 * Adding tasks through a service, in as few requests as its API allows.
 *
 * @module
 */

import { DuplicateIdError, messageOf, UserError } from "../../base/errors.ts";
import { IdList, type NewTasks } from "../../store/contract.ts";
import { newTaskToJson } from "../../task/json.ts";
import type { JsonObject } from "../../task/task.ts";
import { stringifyJson } from "../../task/trace.ts";
import {
  createdSchema,
  MAX_BATCH_BYTES,
  MAX_BATCH_TASKS,
} from "../api/task_schemas.ts";
import { type Api, Refusal } from "./api.ts";

/** What stands around the tasks of a request. */
const FRAME_BYTES = 100;

/**
 * Adds tasks and returns their ids in the same order. All or none where they
 * fit into one request: 10,000 tasks and 16 MiB.
 *
 * @throws {DuplicateIdError} where there is a task with one of the ids already,
 * and none was created.
 * @throws {UserError} that says how many were created before one could not be.
 */
export async function createTasks(
  api: Api,
  tasks: NewTasks,
  { onWarning }: { readonly onWarning: (message: string) => void },
): Promise<IdList> {
  const ids = new IdList();
  const warnings = new Set<string>();
  try {
    for await (const batch of batchesOf(tasks)) {
      const created = await api.json(
        "api/v1/tasks/batch",
        createdSchema,
        { body: { tasks: batch }, idempotencyKey: crypto.randomUUID() },
      );
      ids.add(created.ids, [
        ...created.existing.map((place) => [place, "existing"] as const),
        ...created.replaced.map((place) => [place, "replaced"] as const),
      ]);
      for (const warning of created.warnings) {
        if (!warnings.has(warning)) onWarning(warning);
        warnings.add(warning);
      }
    }
  } catch (error) {
    const cause = explained(error);
    if (ids.length === 0) throw cause;
    throw new UserError(
      `Cannot create all ${tasks.count} tasks: ${messageOf(cause)} ` +
        `The first ${ids.length} were created. Leave them out when you ` +
        "try again.",
      { cause },
    );
  }
  return ids;
}

/** The tasks in their order, in requests that are not too large. */
async function* batchesOf(tasks: NewTasks): AsyncGenerator<JsonObject[]> {
  const encoder = new TextEncoder();
  let batch: JsonObject[] = [];
  let bytes = FRAME_BYTES;
  for await (const set of tasks.sets()) {
    for (const task of set) {
      const json = newTaskToJson(task);
      const more = encoder.encode(stringifyJson(json)).length + 1;
      const isFull = batch.length === MAX_BATCH_TASKS ||
        bytes + more > MAX_BATCH_BYTES;
      if (isFull && batch.length > 0) {
        yield batch;
        batch = [];
        bytes = FRAME_BYTES;
      }
      batch.push(json);
      bytes += more;
    }
  }
  if (batch.length > 0) yield batch;
}

function explained(error: unknown): unknown {
  return error instanceof Refusal && error.reason === "duplicate id" &&
      error.taskId !== undefined
    ? new DuplicateIdError(error.taskId, { cause: error })
    : error;
}
