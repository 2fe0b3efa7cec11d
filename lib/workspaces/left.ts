/**
 * What is left in a task's folder that no commit of its branch has.
 *
 * @module
 */

import { countOf } from "../base/figures.ts";
import { pathsIn } from "./commits.ts";
import { namesOf } from "./names.ts";
import { linksIn } from "./nested.ts";
import type { Workspace } from "./workspace.ts";

/** The files that are not committed. */
export async function leftIn(
  git: (args: readonly string[]) => Promise<string>,
  copied: readonly string[],
): Promise<string[]> {
  const text = await git([
    "status",
    "--porcelain",
    "-z",
    "--no-renames",
    "--untracked-files=all",
    "--",
    ":/",
    ...copied.map((it) => `:(top,exclude,literal)${it}`),
  ]);
  return pathsIn(text).map((it) => it.slice(3));
}

/** What no commit of its own takes: changes within submodules, and a hook's. */
export async function notCommitted(
  git: Workspace["git"],
  copied: readonly string[],
): Promise<string[]> {
  const left = await leftIn(git, copied);
  if (left.length === 0) return [];
  const links = new Set(await linksIn(git));
  const within = namesOf(left.filter((it) => links.has(it)));
  const others = namesOf(left.filter((it) => !links.has(it)));
  return [
    within &&
    `What is changed within ${within} is in no commit: commit it in ` +
      "the submodule, and push it",
    others && `Left uncommitted: ${others}`,
  ].filter((it) => it !== "");
}

/** A repository has one list of stashes for all its worktrees. */
export async function stashed(
  { git, facts: { repo, branch, path }, isClone }: Workspace,
): Promise<string[]> {
  const list = await git(["stash", "list", "--format=%gs"]);
  const count = list.split("\n")
    .filter((it) => /^(WIP on|On) ([^:]*):/.exec(it)?.[2] === branch).length;
  return count === 0 ? [] : [
    `It left ${countOf(count, "stashed change")} in ` +
    `${isClone ? path : repo}: git stash list`,
  ];
}
