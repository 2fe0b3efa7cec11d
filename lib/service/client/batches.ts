/**
 * Many new tasks in as few requests as the API allows.
 *
 * @module
 */

import { MAX_BATCH_BYTES, MAX_BATCH_TASKS } from "../api/schemas.ts";
import type { JsonObject } from "../../task/task.ts";
import type { IncomingTasks } from "../../store/task_sets.ts";
import { stringifyJson } from "../../task/trace.ts";
import { newTaskToJson } from "./task_json.ts";

/** What stands around the tasks of a request. */
const FRAME_BYTES = 100;

/** The tasks in their order, in requests that are not too large. */
export async function* batchesOf(
  incoming: IncomingTasks,
): AsyncGenerator<JsonObject[]> {
  const encoder = new TextEncoder();
  let batch: JsonObject[] = [];
  let bytes = FRAME_BYTES;
  for await (const tasks of incoming.sets()) {
    for (const task of tasks) {
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
