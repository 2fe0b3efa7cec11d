/**
 * Repositories that somebody has made within a task's folder. Of one that is no
 * submodule, git keeps the number of a commit, and nothing of its work.
 *
 * @module
 */

import { join } from "node:path";
import { pathsIn } from "./commits.ts";
import { GitError } from "./git.ts";
import { isThere } from "./record.ts";

type Git = (args: readonly string[]) => Promise<string>;

/** What git keeps of a repository within another. */
const LINK = "160000";

/** Those that the index has as its own work, and its base has not. */
export async function nestedSince(
  baseCommit: string,
  git: Git,
): Promise<string[]> {
  const links = await linksIn(git);
  if (links.length === 0) return [];
  const tree = await git(["ls-tree", "-r", "-z", baseCommit]);
  const before = new Set(linksOf(tree));
  return await withoutSubmodules(links.filter((it) => !before.has(it)), git);
}

/** Those that are in a folder. The work of submodules is looked at by git. */
export async function nestedIn(
  folder: string,
  git: Git,
): Promise<{ readonly nested: string[]; readonly hasSubmodules: boolean }> {
  const there: string[] = [];
  for (const path of await linksIn(git)) {
    if (await isThere(join(folder, path, ".git"))) there.push(path);
  }
  const nested = await withoutSubmodules(there, git);
  return { nested, hasSubmodules: nested.length < there.length };
}

/** Those that the index has. */
export async function linksIn(git: Git): Promise<string[]> {
  return linksOf(await git(["ls-files", "--stage", "-z"]));
}

function linksOf(list: string): string[] {
  return pathsIn(list).filter((line) => line.startsWith(`${LINK} `))
    .map((line) => line.slice(line.indexOf("\t") + 1));
}

async function withoutSubmodules(
  paths: readonly string[],
  git: Git,
): Promise<string[]> {
  if (paths.length === 0) return [];
  const text = await git([
    "config",
    "--null",
    "--file=.gitmodules",
    "--get-regexp",
    "^submodule[.].*[.]path$",
  ]).catch((error) => {
    // There is no such file, or no such line.
    if (!(error instanceof GitError)) throw error;
    return "";
  });
  const submodules = new Set(
    text.split("\0").map((it) => it.slice(it.indexOf("\n") + 1)),
  );
  return paths.filter((it) => !submodules.has(it));
}
