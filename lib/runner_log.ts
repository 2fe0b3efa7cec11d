/**
 * What the runner says about single tasks.
 *
 * @module
 */

import type { Log } from "./log.ts";
import type { AgentTask, Transition } from "./task.ts";

/** Says that a run begins. */
export function logStart(log: Log, { id, provider, attempt }: AgentTask): void {
  log.info(`Task ${id} started (${provider})`, { task: id, provider, attempt });
}

/** Says what was recorded of a run. */
export function logTransition(
  log: Log,
  { lease, event, detail, runAt }: Transition,
  runMs: number,
): void {
  const id = lease.taskId;
  const fields = { task: id, attempt: lease.attempt, runMs: Math.round(runMs) };
  switch (event) {
    case "completed":
      log.info(`Task ${id} completed in ${fields.runMs} ms`, fields);
      break;
    case "cancelled":
      log.warning(`Task ${id} was cancelled`, fields);
      break;
    case "failed":
      log.error(`Task ${id} failed: ${detail}`, { ...fields, error: detail });
      break;
    case "needs_input":
      log.warning(`Task ${id} needs input: ${detail}`, fields);
      break;
    case "retry_scheduled":
      log.warning(
        `Task ${id} failed and is tried again at ${runAt?.toISOString()}: ` +
          detail,
        { ...fields, error: detail },
      );
      break;
    default:
      log.info(`Task ${id} was given back: ${detail}`, fields);
  }
}

/** Says why a run's outcome was not recorded. `now` is the task as it stands. */
export function logSkipped(
  log: Log,
  { id, attempt }: AgentTask,
  now: AgentTask | undefined,
): void {
  const reason = !now
    ? "it is not there any more"
    : now.state !== "running"
    ? `it is ${now.state} already`
    : `${now.leaseOwner ?? "somebody"} has taken it over`;
  log.warning(`Task ${id} was skipped: ${reason}. This run was not recorded.`, {
    task: id,
    attempt,
  });
}
