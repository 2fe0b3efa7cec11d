/**
 * What the runner says about single tasks.
 *
 * @module
 */

import { messageOf } from "../base/errors.ts";
import { countOf } from "../base/figures.ts";
import type { Log } from "../base/log.ts";
import type { ProcessorContext } from "../processors/processor.ts";
import { type Progress, progressText } from "../task/progress.ts";
import type { AgentTask, Transition } from "../task/task.ts";
import { outputLines } from "./output_lines.ts";
import type { RunLogs } from "./run_logs.ts";
import type { Run } from "./runs.ts";

/** Says that a run begins. */
export function logStart(log: Log, { id, provider, attempt }: AgentTask): void {
  log.info(`Task ${id} started (${provider})`, {
    event: "started",
    task: id,
    provider,
    attempt,
  });
}

/** Says how far a run is. */
export function logProgress(
  log: Log,
  { id }: AgentTask,
  progress: Progress,
): void {
  log.debug(`Task ${id}: ${progressText(progress)}`, {
    event: "progress",
    task: id,
  });
}

/** Sees what runs say while they go on. Without one, the log has it at DEBUG. */
export interface RunWatcher {
  progress(task: AgentTask, progress: Progress): void;
  /** What the work prints; meant to be a line, but anybody's JavaScript. */
  output(task: AgentTask, line: unknown): void;
}

/** What takes the lines of a run; undefined where nobody wants them. */
export function outputOf(
  { task, lease }: Pick<Run, "task" | "lease">,
  { log, watcher, runLogs }: {
    readonly log: Log;
    readonly watcher?: RunWatcher;
    readonly runLogs: RunLogs;
  },
): ProcessorContext["output"] | undefined {
  const keep = runLogs.of(lease);
  const show = watcher
    ? (line: unknown) => watcher.output(task, line)
    : log.isDebug
    ? (line: unknown) => {
      for (const text of outputLines(line)) {
        log.debug(`Task ${task.id}: ${text}`, {
          event: "output",
          task: task.id,
        });
      }
    }
    : undefined;
  if (!keep || !show) return keep ?? show;
  return (line, kind) => {
    keep(line, kind);
    show(line);
  };
}

/** What is known of a run beside what was recorded. */
export interface RunFacts {
  /** When it was recorded. */
  readonly at: Date;
  readonly provider: string;
  /** Undefined where it was ended without a run. */
  readonly runMs?: number;
}

/** Says what was recorded of a run, or of a task that nobody ran any more. */
export function logTransition(
  log: Log,
  { lease, event, detail, delayMs, warning, approval }: Transition,
  { at, provider, runMs }: RunFacts,
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
      if (warning === undefined) {
        log.info(`Task ${id} completed in ${fields.runMs} ms`, fields);
      } else {
        log.warning(
          `Task ${id} completed in ${fields.runMs} ms, with a warning: ${warning}`,
          { ...fields, warning },
        );
      }
      break;
    case "cancelled":
      log.warning(`Task ${id} was cancelled`, fields);
      break;
    case "failed":
      log.error(`Task ${id} failed: ${detail}`, { ...fields, error: detail });
      break;
    case "needs_input":
      log.warning(
        `Task ${id} needs ${approval ? "to be approved" : "input"}: ${detail}`,
        {
          ...fields,
          question: detail,
          ...approval && { approval: approval.of },
        },
      );
      break;
    case "retry_scheduled": {
      const retryAt = new Date(at.getTime() + (delayMs ?? 0)).toISOString();
      log.warning(
        `Task ${id} failed and is tried again at ${retryAt}: ${detail}`,
        { ...fields, error: detail, retryAt },
      );
      break;
    }
    case "limited":
      log.warning(`Task ${id} waits for ${provider}: ${detail}`, {
        ...fields,
        reason: detail,
      });
      break;
    default:
      log.info(`Task ${id} was given back: ${detail}`, {
        ...fields,
        reason: detail,
      });
  }
}

/**
 * Says why a run's outcome was not recorded. `now` is the task as it stands; null
 * where it is not there any more, undefined where nobody could look.
 */
export function logSkipped(
  log: Log,
  { task: { id, provider, attempt }, lease }: Pick<Run, "task" | "lease">,
  now: AgentTask | null | undefined,
): void {
  const reason = now === undefined
    ? "its lease was lost"
    : now === null
    ? "it is not there any more"
    : now.state !== "running" && now.state !== "created"
    ? `it is ${now.state} already`
    : now.leaseOwner === null
    ? "its lease was over, and it waits to be run again"
    : now.leaseOwner === lease.owner
    ? "its lease was over, and this runner has claimed it anew"
    : `${now.leaseOwner} has taken it over`;
  log.warning(`Task ${id} was skipped: ${reason}. This run was not recorded.`, {
    event: "skipped",
    task: id,
    provider,
    attempt,
    reason,
  });
}

/** Says that leases were not renewed. */
export function logUnrenewed(log: Log, count: number, error: unknown): void {
  const message = messageOf(error);
  log.warning(`Cannot renew ${countOf(count, "lease")}: ${message}`, {
    event: "renewal_failed",
    count,
    error: message,
  });
}

/** Says that an outcome is not in the store, and why. */
export function logUnrecorded(
  log: Log,
  { lease, event }: Transition,
  error: unknown,
): void {
  log.error(
    `Task ${lease.taskId} was ${event}, but that could not be recorded: ` +
      `${messageOf(error)} It is run again when its lease is over.`,
    {
      event: "unrecorded",
      task: lease.taskId,
      attempt: lease.attempt,
      outcome: event,
      error: messageOf(error),
    },
  );
}
