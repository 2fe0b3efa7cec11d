/**
 * Puts back what a check changes in a task's folder: what it makes is none of the
 * work, and neither is what it mends.
 *
 * @module
 */

import { join } from "node:path";
import { pathsIn } from "./commits.ts";
import { git, GitError, type GitOptions } from "./git.ts";
import { isThere, removeIfThere } from "./record.ts";
import { copyIndex, stageAll } from "./staging.ts";
import type { PutBack, Workspace } from "./workspace.ts";

/** In the worktree's git folder: an index beside its own, which stays as it is. */
const INDEX = "agent-runner-index";

/**
 * Does something in the folder, and puts the files that git does not ignore back as
 * they were. Git keeps what they were meanwhile, until its next `gc`.
 */
export async function puttingBack<T>(
  workspace: Pick<Workspace, "gitDir" | "options">,
  copied: readonly string[],
  work: () => Promise<T>,
): Promise<PutBack<T>> {
  const { gitDir, options } = workspace;
  const index = join(gitDir, INDEX);
  const own = { ...options, env: { ...options.env, GIT_INDEX_FILE: index } };
  try {
    if (await isThere(join(gitDir, "index"))) {
      await removeIfThere(index);
      await copyIndex(join(gitDir, "index"), index);
    }
    const before = await treeNow(own, copied);
    const end = await work();
    if (before === undefined || options.signal?.aborted) {
      return { end, paths: [] };
    }
    const after = await treeNow(own, copied);
    if (after === undefined || after === before) return { end, paths: [] };
    const names = ["diff-tree", "-r", "-z", "--name-only", before, after];
    const text = await git(names, own);
    await git([
      "--literal-pathspecs",
      "restore",
      `--source=${before}`,
      "--staged",
      "--worktree",
      "--ignore-skip-worktree-bits",
      "--no-recurse-submodules",
      "--pathspec-from-file=-",
      "--pathspec-file-nul",
    ], { ...own, input: text });
    return { end, paths: pathsIn(text) };
  } finally {
    await removeIfThere(index);
  }
}

/** All files as they are; undefined where git can't keep them. */
async function treeNow(
  options: GitOptions,
  copied: readonly string[],
): Promise<string | undefined> {
  try {
    await stageAll((args) => git(args, options), options, copied);
    return await git(["write-tree"], options);
  } catch (error) {
    // The end of the work says why: a repository within, or conflicts.
    if (error instanceof GitError) return undefined;
    throw error;
  }
}
