/**
 * Why a task has no workspace, or can't go on in it.
 *
 * @module
 */

import { UserError } from "../base/errors.ts";

/** See above. */
export class WorkspaceError extends UserError {
  override readonly name = "WorkspaceError";
  /** False where a second try can't help. */
  readonly retryable: boolean;
  /** The work could not begin, whatever the task: it costs no attempt. */
  readonly isUnbegun: boolean;

  constructor(
    message: string,
    { retryable = false, isUnbegun = false, ...options }: ErrorOptions & {
      readonly retryable?: boolean;
      readonly isUnbegun?: boolean;
    } = {},
  ) {
    super(message, options);
    this.retryable = retryable || isUnbegun;
    this.isUnbegun = isUnbegun;
  }
}

/** It could not begin, but may later, when somebody has seen to it. */
export function unbegun(message: string, cause?: unknown): WorkspaceError {
  return new WorkspaceError(message, { isUnbegun: true, cause });
}
