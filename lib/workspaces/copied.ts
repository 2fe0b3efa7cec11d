/**
 * Copies what a checkout has and its repository has not into a new folder.
 *
 * @module
 */

import { cp } from "node:fs/promises";
import { dirname, join } from "node:path";
import { messageOf } from "../base/errors.ts";
import { unbegun, WorkspaceError } from "./error.ts";
import { isThere } from "./record.ts";

/** Where it is copied from: an address has no checkout, and neither has a bare one. */
export async function copiedFrom(
  repo: string,
  baseFolder: string,
): Promise<string> {
  return await isThere(join(repo, ".git")) ? repo : baseFolder;
}

/** Those that are not there. */
export async function missingIn(
  from: string,
  paths: readonly string[],
): Promise<readonly string[]> {
  const missing: string[] = [];
  for (const path of paths.map((it) => join(from, it))) {
    if (!await isThere(path)) missing.push(path);
  }
  return missing;
}

/**
 * Copies files and folders.
 *
 * @returns those that are not there.
 * @throws {WorkspaceError} where that can't be.
 */
export async function copyInto(
  folder: string,
  paths: readonly string[],
  { from }: { readonly from: string },
): Promise<readonly string[]> {
  const missing: string[] = [];
  for (const path of paths) {
    const source = join(from, path);
    await assertWithin(folder, path);
    if (!await isThere(source)) {
      missing.push(source);
      continue;
    }
    try {
      await Deno.mkdir(dirname(join(folder, path)), { recursive: true });
      await cp(source, join(folder, path), { recursive: true });
    } catch (error) {
      throw unbegun(
        `Cannot copy ${source} into ${folder}: ${messageOf(error)}`,
        error,
      );
    }
  }
  return missing;
}

/** A branch may have a link in place of a folder, and so lead to what is not its own. */
async function assertWithin(folder: string, path: string): Promise<void> {
  for (let part = path; part !== "."; part = dirname(part)) {
    const { isSymlink } = await Deno.lstat(join(folder, part)).catch(none);
    if (!isSymlink) continue;
    throw new WorkspaceError(
      `Cannot copy ${path} into ${folder}: ${part} is a symbolic link there. ` +
        "Take it out of copy, or out of the branch.",
    );
  }
}

function none(error: unknown): { readonly isSymlink: boolean } {
  if (error instanceof Deno.errors.NotFound) return { isSymlink: false };
  throw error;
}
