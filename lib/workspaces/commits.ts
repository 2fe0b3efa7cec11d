/**
 * What git knows of commits, refs and paths.
 *
 * @module
 */

import { git, type GitOptions, runGit } from "./git.ts";

/** The commit that a name stands for; undefined where there is none. */
export async function commitOf(
  ref: string,
  options: GitOptions,
): Promise<string | undefined> {
  const { code, stdout } = await runGit(
    ["rev-parse", "--verify", "--quiet", "--end-of-options", `${ref}^{commit}`],
    options,
  );
  return code === 0 ? stdout.trim() : undefined;
}

/** Whether a commit is another one, or before it. None is in what is not there. */
export async function isIn(
  later: string,
  commit: string,
  options: GitOptions,
): Promise<boolean> {
  const args = ["merge-base", "--is-ancestor", "--end-of-options"];
  return (await runGit([...args, commit, later], options)).code === 0;
}

/**
 * Where a branch left its base, or took it in last: what came from the base is none of
 * its changes.
 *
 * @param baseCommit where it began
 * @param bases what the base may be called; the first that is there counts
 */
export async function beginOf(
  head: string,
  { baseCommit, bases }: {
    readonly baseCommit: string;
    readonly bases: readonly string[];
  },
  options: GitOptions,
): Promise<string> {
  const begun = await mergeBase(baseCommit, head, options) ?? baseCommit;
  for (const base of bases) {
    const taken = await mergeBase(base, head, options);
    if (taken === undefined) continue;
    // All of it is in its base: it is merged. Or that has lost what it began at.
    return taken === head || await isIn(begun, taken, options) ? begun : taken;
  }
  return begun;
}

/** The last commit that both have; undefined where there is none. */
export async function mergeBase(
  one: string,
  other: string,
  options: GitOptions,
): Promise<string | undefined> {
  const args = ["merge-base", "--end-of-options", one, other];
  const { code, stdout } = await runGit(args, options);
  return code === 0 ? stdout.trim() : undefined;
}

/** The refs below one: all, or those that have a commit. */
export async function refsIn(
  below: string,
  options: GitOptions,
  commit?: string,
): Promise<string[]> {
  const contains = commit === undefined ? [] : [`--contains=${commit}`];
  const args = ["for-each-ref", "--format=%(refname)", ...contains, below];
  return (await git(args, options)).split("\n").filter((it) => it !== "");
}

/** The paths that git prints with `-z`. */
export function pathsIn(text: string): string[] {
  return text.split("\0").filter((path) => path !== "");
}

/** The files and folders of a worktree that git ignores. */
export async function ignoredIn(options: GitOptions): Promise<string[]> {
  const which = ["--others", "--ignored", "--exclude-standard", "--directory"];
  return pathsIn(await git(["ls-files", "-z", ...which], options));
}
