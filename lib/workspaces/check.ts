/**
 * Tries what can be tried of a repository without making anything there.
 *
 * @module
 */

import { resolve } from "node:path";
import { messageOf } from "../base/errors.ts";
import type { WorkspaceConfig } from "./config.ts";
import { NoGitError, runGit } from "./git.ts";
import {
  assertOutside,
  findBase,
  findRepository,
  isAddress,
} from "./repository.ts";

/** What is called here came with this version. */
const LEAST_VERSION = [2, 31] as const;

/** What is wrong, a sentence each. */
export async function workspaceProblems(
  { git, base, remote }: WorkspaceConfig,
  { baseFolder, folder }: {
    readonly baseFolder: string;
    /** Where tasks' folders are; undefined where nobody knows. */
    readonly folder: string | undefined;
  },
): Promise<readonly string[]> {
  try {
    const { stdout } = await runGit(["--version"], { cwd: baseFolder });
    const old = oldVersionIn(stdout);
    if (old) return [old];
    // Which one it is, a task says.
    if (/[{}]/.test(git) || isAddress(git)) return [];
    const repository = await findRepository(git, baseFolder);
    if (folder) await assertOutside(repository, resolve(baseFolder, folder));
    await findBase(repository, {
      base,
      remote,
      fetch: false,
      taskId: "",
      signal: new AbortController().signal,
    });
    return [];
  } catch (error) {
    return [
      error instanceof NoGitError
        ? "There is no git on PATH. Install it."
        : messageOf(error),
    ];
  }
}

/** What is wrong with a version that is too old; undefined for nothing. */
export function oldVersionIn(text: string): string | undefined {
  const [, major = "0", minor = "0"] = /(\d+)\.(\d+)/.exec(text) ?? [];
  const [leastMajor, leastMinor] = LEAST_VERSION;
  const isNew = Number(major) > leastMajor ||
    Number(major) === leastMajor && Number(minor) >= leastMinor;
  return isNew
    ? undefined
    : `git ${major}.${minor} is too old. Install ${
      LEAST_VERSION.join(".")
    } or newer.`;
}
