/**
 * Why a task has no workspace, or can't go on in it.
 *
 * @module
 */

import { messageOf, UserError } from "../base/errors.ts";

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

/** What keeps us from a folder, in words: a right that is missing is not Deno's. */
export function folderError(error: unknown): string {
  const { code } = error as { readonly code?: string };
  if (code === "EROFS") return "its disk is read-only. Give another folder.";
  const isDenied = error instanceof Deno.errors.PermissionDenied ||
    error instanceof Deno.errors.NotCapable;
  return isDenied
    ? "agent-runner has no right to write there. Give another folder."
    : messageOf(error);
}
