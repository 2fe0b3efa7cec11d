/**
 * What the runner says about single tasks.
 *
 * @module
 */

import { stripAnsiCode } from "@std/fmt/colors";
import { cut } from "./cut.ts";
import type { Log } from "./log.ts";
import { type Progress, progressText } from "./progress.ts";
import type { AgentTask, Transition } from "./task.ts";

/** Says that a run begins. */
export function logStart(log: Log, { id, provider, attempt }: AgentTask): void {
  log.info(`Task ${id} started (${provider})`, { task: id, provider, attempt });
}

/** Says how far a run is. */
export function logProgress(
  log: Log,
  { id }: AgentTask,
  progress: Progress,
): void {
  log.debug(`Task ${id}: ${progressText(progress)}`, { task: id });
}

/** Sees what runs say while they go on. Without one, the log has it at DEBUG. */
export interface RunWatcher {
  progress(task: AgentTask, progress: Progress): void;
  /** What the work prints; meant to be a line, but anybody's JavaScript. */
  output(task: AgentTask, line: unknown): void;
}

/** What takes the lines of a run; undefined where nobody wants them. */
export function outputOf(
  task: AgentTask,
  { log, watcher }: { readonly log: Log; readonly watcher?: RunWatcher },
): ((line: unknown) => void) | undefined {
  if (watcher) return (line) => watcher.output(task, line);
  if (!log.isDebug) return undefined;
  return (line) => {
    for (const text of outputLines(line)) {
      log.debug(`Task ${task.id}: ${text}`, { task: task.id });
    }
  };
}

/** The longest line of a run's output that is shown whole. */
const MAX_LINE_CHARACTERS = 10_000;

/** What a run prints, line by line and without its colours. */
export function outputLines(line: unknown): string[] {
  return stripAnsiCode(cut(line, MAX_LINE_CHARACTERS)).split(/\r?\n/);
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
