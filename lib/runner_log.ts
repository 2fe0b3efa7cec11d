/**
 * What the runner says about single tasks.
 *
 * @module
 */

import type { Log } from "./log.ts";
import type { AgentTask, Transition } from "./task.ts";

/** Says that a run begins. */
export function logStart(log: Log, { id, provider, attempt }: AgentTask): void {
  log.info(`Task ${id} started (${provider})`, {
    event: "started",
    task: id,
    provider,
    attempt,
  });
}

/** What is known of a run beside what was recorded. */
export interface RunFacts {
  readonly provider?: string;
  readonly runMs?: number;
}

/** Says what was recorded of a run, or of a task that nobody ran any more. */
export function logTransition(
  log: Log,
  { lease, event, detail, runAt }: Transition,
  { provider, runMs }: RunFacts = {},
): void {
  const id = lease.taskId;
  const fields = {
    event,
    task: id,
    provider,
    attempt: lease.attempt,
    runMs: runMs === undefined ? undefined : Math.round(runMs),
  };
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
      log.warning(`Task ${id} needs input: ${detail}`, {
        ...fields,
        question: detail,
      });
      break;
    case "retry_scheduled":
      log.warning(
        `Task ${id} failed and is tried again at ${runAt?.toISOString()}: ` +
          detail,
        { ...fields, error: detail, retryAt: runAt?.toISOString() },
      );
      break;
    default:
      log.info(`Task ${id} was given back: ${detail}`, {
        ...fields,
        reason: detail,
      });
  }
}

/** Says why a run's outcome was not recorded. `now` is the task as it stands. */
export function logSkipped(
  log: Log,
  { id, provider, attempt }: AgentTask,
  now: AgentTask | undefined,
): void {
  const reason = !now
    ? "it is not there any more"
    : now.state !== "running"
    ? `it is ${now.state} already`
    : `${now.leaseOwner ?? "somebody"} has taken it over`;
  log.warning(`Task ${id} was skipped: ${reason}. This run was not recorded.`, {
    event: "skipped",
    task: id,
    provider,
    attempt,
    reason,
  });
}
