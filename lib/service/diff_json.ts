/**
 * The changes of a task as JSON.
 *
 * @module
 */

import type { Changes } from "../workspaces/diff.ts";

/** The changes of a task as JSON. */
export type ChangesJson = ReturnType<typeof changesToJson>;

/** The changes of a task as JSON. */
export function changesToJson(
  { base, head, branch, isUncommitted, files, isTruncated }: Changes,
) {
  return {
    base,
    head,
    branch,
    uncommitted: isUncommitted,
    files: files.map(({ oldPath, isBinary, patch, ...file }) => ({
      path: file.path,
      old_path: oldPath ?? null,
      status: file.status,
      insertions: file.insertions,
      deletions: file.deletions,
      binary: isBinary,
      patch: patch ?? null,
    })),
    truncated: isTruncated,
  };
}

/** The changes that {@linkcode changesToJson} wrote. */
export function changesFromJson(
  { uncommitted, files, truncated, ...rest }: ChangesJson,
): Changes {
  return {
    ...rest,
    isUncommitted: uncommitted,
    files: files.map(({ old_path, binary, patch, ...file }) => ({
      ...file,
      ...old_path !== null && { oldPath: old_path },
      isBinary: binary,
      ...patch !== null && { patch },
    })),
    isTruncated: truncated,
  };
}
