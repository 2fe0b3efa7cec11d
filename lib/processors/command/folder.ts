/**
 * The folder in which a program runs.
 *
 * @module
 */

import { join, resolve } from "node:path";
import { messageOf, UserError } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import type { Workspace } from "../../workspaces/workspace.ts";
import type { FolderConfig } from "./config.ts";

/** What comes after a run, as far as its folder is concerned. */
export type FolderEnd =
  /** The task has been completed, or failed for this attempt. */
  | "completed"
  | "failed"
  /** Its next run goes on with what this one left. */
  | "goes on"
  /** Somebody else runs it, perhaps in the same folder. */
  | "lost";

/** A folder of a run. */
export interface RunFolder {
  readonly path: string;
  /** It was not there before. */
  readonly isNew: boolean;
  /** What it is of a repository; undefined where it is of none. */
  readonly git?: Workspace;
  /** Removes it, or not, as configured. */
  close(end: FolderEnd): Promise<void>;
}

/** Without a repository. */
export type PlainFolderConfig = FolderConfig & { readonly workspace?: string };

/** What folders are made with. */
export interface FolderParts {
  readonly baseFolder: string;
  readonly log: Log;
}

/**
 * Opens the folder of a run that is of no repository.
 *
 * @throws {UserError} where there is none, or none can be made.
 */
export async function openFolder(
  taskId: string,
  { cwd, workspace, keepWorkspace = "never" }: PlainFolderConfig,
  { baseFolder, log }: FolderParts,
): Promise<RunFolder> {
  if (cwd !== undefined) {
    const path = resolve(baseFolder, cwd);
    const problem = await folderProblem(path);
    if (problem) throw new UserError(`Cannot run in ${path}: ${problem}`);
    return { path, isNew: false, async close() {} };
  }
  const { path, isNew } = await make();
  return {
    path,
    isNew,
    async close(end) {
      // A temporary one is found by nobody, so there is nothing to go on with.
      const isOver = workspace === undefined ||
        (end !== "goes on" && end !== "lost");
      const isKept = !isOver || keepWorkspace === "always" ||
        keepWorkspace === "failed" && end === "failed";
      if (!isKept) {
        await removeFolder(path, { taskId, log });
        return;
      }
      if (workspace === undefined) {
        log.info(`Task ${taskId}: its folder was kept: ${path}`, {
          event: "folder_kept",
          task: taskId,
          path,
        });
      }
    },
  };

  async function make(): Promise<Pick<RunFolder, "path" | "isNew">> {
    const parent = workspace === undefined
      ? undefined
      : resolve(baseFolder, workspace);
    try {
      if (parent === undefined) {
        const path = await Deno.makeTempDir({ prefix: "agent-runner-" });
        return { path, isNew: true };
      }
      const path = join(parent, taskId);
      const isNew = await folderProblem(path) !== undefined;
      await Deno.mkdir(path, { recursive: true, mode: 0o700 });
      return { path, isNew };
    } catch (error) {
      throw new UserError(
        `Cannot make a folder for the task${
          parent === undefined ? "" : ` in ${parent}`
        }: ${messageOf(error)}`,
      );
    }
  }
}

/**
 * Removes what a task had; where it can't, the log says so.
 *
 * @returns whether it was there, and is not any more.
 */
export async function removeFolder(
  path: string,
  { taskId, log }: { readonly taskId: string; readonly log: Log },
): Promise<boolean> {
  try {
    await Deno.remove(path, { recursive: true });
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    log.warning(
      `Cannot remove the folder of task ${taskId}: ${messageOf(error)}`,
      { event: "folder_left", task: taskId, path, error: messageOf(error) },
    );
    return false;
  }
}

/** What is wrong with a folder; undefined for nothing. */
export async function folderProblem(
  path: string,
): Promise<string | undefined> {
  try {
    const { isDirectory } = await Deno.stat(path);
    return isDirectory ? undefined : "it is no folder.";
  } catch (error) {
    return error instanceof Deno.errors.NotFound
      ? "it does not exist. Make it, or give another."
      : messageOf(error);
  }
}
