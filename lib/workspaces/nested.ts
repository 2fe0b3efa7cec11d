/**
 * Repositories that somebody has made within a task's folder. Of one that is no
 * submodule, git keeps the number of a commit, and nothing of its work.
 *
 * @module
 */

import { join } from "node:path";
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
  const args = [
    "--cached",
    "--raw",
    "--no-renames",
    "--ignore-submodules=none",
  ];
  const text = await git(["diff", ...args, "-z", baseCommit, "--"]);
  const fields = text.split("\0");
  const added = fields.flatMap((field, index) => {
    const [from, to] = field.split(" ");
    return field.startsWith(":") && from !== `:${LINK}` && to === LINK
      ? [fields[index + 1]!]
      : [];
  });
  return await withoutSubmodules(added, git);
}

/** Those that are in a folder. The work of submodules is looked at by git. */
export async function nestedIn(
  folder: string,
  git: Git,
): Promise<{ readonly nested: string[]; readonly hasSubmodules: boolean }> {
  const text = await git(["ls-files", "--stage", "-z"]);
  const there: string[] = [];
  for (const line of text.split("\0")) {
    if (!line.startsWith(`${LINK} `)) continue;
    const path = line.slice(line.indexOf("\t") + 1);
    if (await isThere(join(folder, path, ".git"))) there.push(path);
  }
  const nested = await withoutSubmodules(there, git);
  return { nested, hasSubmodules: nested.length < there.length };
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
