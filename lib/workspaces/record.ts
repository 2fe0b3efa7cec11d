/**
 * What is known on this machine of a task's folder: written beside it before it is
 * made, where nothing that works in the folder changes it.
 *
 * @module
 */

import { basename, dirname, join } from "node:path";

/** See above. */
export interface WorkspaceRecord {
  /** The task that it was made for. */
  readonly task: string;
  /** The repository: a folder, or the address that was cloned. */
  readonly repo: string;
  /** The git folder of its worktree, or of its clone. */
  readonly gitDir: string;
  /** The same of the repository; of a clone, its own. */
  readonly commonDir: string;
  readonly isClone: boolean;
  readonly branch: string;
  readonly base: string;
  readonly baseCommit: string;
  /** What was copied there, which is not committed. */
  readonly copied: readonly string[];
  /** What git ignores of that which was made by its setup. */
  readonly ignored?: readonly string[];
  /** It has all its files. Until then it is half made, and is made again. */
  readonly isMade: boolean;
  /** What is to be done before the work is done. */
  readonly isSetUp: boolean;
}

/** Where a folder has it. */
export function recordPath(folder: string): string {
  return join(dirname(folder), `${basename(folder)}.json`);
}

/** Whoever works in a folder, or removes it, has a lock of this file. */
export function lockPath(folder: string): string {
  return join(dirname(folder), `${basename(folder)}.lock`);
}

/** Undefined where there is none. */
export async function readRecord(
  folder: string,
): Promise<WorkspaceRecord | undefined> {
  try {
    return JSON.parse(await Deno.readTextFile(recordPath(folder)));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** What is half written. Only who has the lock writes there. */
function halfPath(folder: string): string {
  return `${recordPath(folder)}.half`;
}

/** Whole or not at all. */
export async function writeRecord(
  folder: string,
  record: WorkspaceRecord,
): Promise<void> {
  const half = halfPath(folder);
  const text = JSON.stringify(record, null, 2);
  try {
    await Deno.writeTextFile(half, text, { mode: 0o600 });
    await Deno.rename(half, recordPath(folder));
  } catch (error) {
    await removeIfThere(half);
    throw error;
  }
}

/** Removes it, and what a killed run has left of one. */
export async function removeRecord(folder: string): Promise<void> {
  await removeIfThere(halfPath(folder));
  await removeIfThere(recordPath(folder));
}

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether a path is that of a task's folder in a folder. */
export function isFolderIn(folder: string, path: string): boolean {
  return dirname(path) === folder && ID.test(basename(path));
}

/** The folders in a folder that have a record, whether they are there or not. */
export async function foldersIn(folder: string): Promise<string[]> {
  const found: string[] = [];
  try {
    for await (const { name } of Deno.readDir(folder)) {
      const path = join(folder, name.replace(/\.json$/, ""));
      if (name.endsWith(".json") && isFolderIn(folder, path)) found.push(path);
    }
  } catch (error) {
    // Made with the first task's.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return found;
}

/** What is not there, is removed. */
export async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Whether there is such a file or folder. */
export async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
