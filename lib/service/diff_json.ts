/**
 * The changes of a task as JSON.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import { type Changes, FILE_STATUSES } from "../workspaces/diff.ts";
import { count } from "./api/task_schemas.ts";

/** The changes of a task. */
export const changesSchema = z.object({
  base: z.string().openapi({
    description: "The commit where its branch left its base",
  }),
  head: z.string().openapi({ description: "Its last commit" }),
  branch: z.string(),
  uncommitted: z.boolean().openapi({
    description: "Some of it is in no commit yet",
  }),
  files: z.array(
    z.object({
      path: z.string(),
      old_path: z.string().nullable().openapi({
        description: "Of one that was renamed or copied",
      }),
      status: z.enum(Object.values(FILE_STATUSES)),
      insertions: count,
      deletions: count,
      binary: z.boolean(),
      patch: z.string().nullable().openapi({
        description: "As git prints it; null where it is too large",
      }),
    }).openapi("ChangedFile"),
  ),
  truncated: z.boolean().openapi({
    description: "Patches, or files, were left out",
  }),
}).openapi("Changes");

/** The changes of a task as JSON. */
export type ChangesJson = z.infer<typeof changesSchema>;

/** The changes of a task as JSON. */
export function changesToJson(
  { base, head, branch, isUncommitted, files, isTruncated }: Changes,
): ChangesJson {
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
