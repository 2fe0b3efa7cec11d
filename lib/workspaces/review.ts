/**
 * What becomes of a task's branch when its work is done.
 *
 * @module
 */

import type { AgentTask, JsonObject, Outcome } from "../task/task.ts";
import type {
  NoteTaker,
  ProgramEnd,
  Reviewed,
  Workspace,
} from "./workspace.ts";

/** What a {@linkcode review} is made with. */
export interface ReviewOptions {
  readonly task: AgentTask;
  /** The task's trace, as it was when the run began. */
  readonly trace: JsonObject;
  /** The user's check of the work, in any folder; undefined where there is none. */
  readonly verify: ((folder: string) => Promise<ProgramEnd>) | undefined;
  readonly note: NoteTaker;
  /** Aborts when the run must stop. */
  readonly stop: AbortSignal;
}

/**
 * Decides what follows for work that is done, is committed, and has passed its
 * check.
 */
export function review(
  _workspace: Workspace,
  outcome: Outcome,
  _options: ReviewOptions,
): Promise<Reviewed> {
  return Promise.resolve({ outcome });
}

/**
 * What follows for a task that was approved since its last run: nothing of its work
 * is done again. Undefined where the work is to be done.
 */
export function reviewApproved(
  _workspace: Workspace,
  _options: ReviewOptions,
): Promise<Reviewed | undefined> {
  return Promise.resolve(undefined);
}
