/**
 * Copies what a checkout has and its repository has not into a new folder.
 *
 * @module
 */

import { cp } from "node:fs/promises";
import { dirname, join } from "node:path";
import { messageOf } from "../base/errors.ts";
import { unbegun } from "./error.ts";

/**
 * Copies files and folders.
 *
 * @returns what was copied.
 * @throws {WorkspaceError} where that can't be.
 */
export async function copyInto(
  folder: string,
  paths: readonly string[],
  { from }: { readonly from: string },
): Promise<readonly string[]> {
  for (const path of paths) {
    const source = join(from, path);
    try {
      await Deno.mkdir(dirname(join(folder, path)), { recursive: true });
      await cp(source, join(folder, path), { recursive: true });
    } catch (error) {
      throw unbegun(
        `Cannot copy ${source} into ${folder}: ${
          error instanceof Deno.errors.NotFound
            ? "it is not there. Make it, or take it out of copy."
            : messageOf(error)
        }`,
        error,
      );
    }
  }
  return paths;
}
