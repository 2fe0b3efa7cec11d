/**
 * Tries what can be tried of a repository without making anything there.
 *
 * @module
 */

import { resolve } from "node:path";
import { messageOf } from "../base/errors.ts";
import type { WorkspaceConfig } from "./config.ts";
import { copiedFrom, missingIn } from "./copied.ts";
import { NoGitError, runGit } from "./git.ts";
import {
  assertOutside,
  findBase,
  findRepository,
  isAddress,
} from "./repository.ts";

/** What is called here came with this version. */
const LEAST_VERSION = [2, 31] as const;

/** What is wrong with git itself; undefined for nothing. */
export async function gitProblem(
  baseFolder: string,
): Promise<string | undefined> {
  try {
    return oldVersionIn(
      (await runGit(["--version"], { cwd: baseFolder })).stdout,
    );
  } catch (error) {
    if (!(error instanceof NoGitError)) throw error;
    return "There is no git on PATH. Install it.";
  }
}

/**
 * What is wrong with the repository, a sentence each: it keeps those tasks waiting
 * that name no other.
 */
export async function workspaceWarnings(
  { git, base, remote, copy }: WorkspaceConfig,
  { baseFolder, folder }: {
    readonly baseFolder: string;
    /** Where tasks' folders are; undefined where nobody knows. */
    readonly folder: string | undefined;
  },
): Promise<readonly string[]> {
  try {
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
    const from = await copiedFrom(repository.path, baseFolder);
    const missing = await missingIn(from, copy);
    return missing.map((it) => `Nothing is copied of ${it}: it is not there.`);
  } catch (error) {
    return [messageOf(error)];
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
