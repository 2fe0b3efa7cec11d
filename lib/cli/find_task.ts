/**
 * Finds the task that a user means.
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";
import type { TaskStore } from "../store/contract.ts";
import type { AgentTask } from "../task/task.ts";

const SHOWN_MATCHES = 5;

/**
 * The task whose id begins with the prefix.
 *
 * @throws {UsageError} where there is none, or more than one.
 */
export async function findTask(
  store: Pick<TaskStore, "findByPrefix">,
  prefix: string,
): Promise<AgentTask> {
  if (prefix.trim() === "") {
    throw new UsageError(
      "Cannot find a task without its id. agent-runner list has the ids.",
    );
  }
  const matches = await store.findByPrefix(prefix, SHOWN_MATCHES + 1);
  const [task, other] = matches;
  if (task && !other) return task;
  if (!task) {
    throw new UsageError(
      `There is no task whose id begins with "${prefix}". ` +
        "agent-runner list has the ids.",
    );
  }
  const ids = matches.slice(0, SHOWN_MATCHES).map(({ id }) => id);
  if (matches.length > SHOWN_MATCHES) ids.push("…");
  throw new UsageError(
    `More than one task's id begins with "${prefix}":\n  ${ids.join("\n  ")}`,
  );
}
