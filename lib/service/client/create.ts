/**
 * Adding tasks through a service.
 *
 * @module
 */

import { DuplicateIdError, messageOf, UserError } from "../../base/errors.ts";
import { IdList } from "../../store/id_list.ts";
import { createdSchema } from "../api/schemas.ts";
import type { IncomingTasks } from "../../store/task_sets.ts";
import { type Api, Refusal } from "./api.ts";
import { batchesOf } from "./batches.ts";

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
  incoming: IncomingTasks,
): Promise<IdList> {
  const ids = new IdList();
  try {
    for await (const tasks of batchesOf(incoming)) {
      const created = await api.json(
        "api/v1/tasks/batch",
        createdSchema,
        { body: { tasks }, idempotencyKey: crypto.randomUUID() },
      );
      ids.add(created.ids);
    }
  } catch (error) {
    const cause = explained(error);
    if (ids.length === 0) throw cause;
    throw new UserError(
      `Cannot create all ${incoming.count} tasks: ${messageOf(cause)} ` +
        `The first ${ids.length} were created. Leave them out when you ` +
        "try again.",
      { cause },
    );
  }
  return ids;
}

function explained(error: unknown): unknown {
  return error instanceof Refusal && error.reason === "duplicate id" &&
      error.taskId !== undefined
    ? new DuplicateIdError(error.taskId, { cause: error })
    : error;
}
