/**
 * Brings what is in a worktree into an index: its own, or a copy.
 *
 * @module
 */

import { type GitOptions, runGit } from "./git.ts";

type Git = (args: readonly string[]) => Promise<string>;

/** Stages all but what was copied there. */
export async function stageAll(
  git: Git,
  options: GitOptions,
  copied: readonly string[],
): Promise<void> {
  await git(["add", "--all", ...await sparseArgs(options), "--", ":/"]);
  if (copied.length === 0) return;
  // As a path that is not to be added, one that is ignored would be an error.
  const paths = copied.map((it) => `:(top,literal)${it}`);
  await git(["reset", "--quiet", "--", ...paths]);
}

/** Of a sparse checkout, git adds only by these what is outside of it. */
export async function sparseArgs(options: GitOptions): Promise<string[]> {
  const args = ["config", "--type=bool", "--get", "core.sparseCheckout"];
  const { stdout } = await runGit(args, options);
  return stdout.trim() === "true" ? ["--sparse"] : [];
}

/** Copies an index to be changed there. */
export async function copyIndex(from: string, to: string): Promise<void> {
  await Deno.copyFile(from, to);
  // Git goes by its age: what is younger is looked at, though it seems the same.
  const { mtime } = await Deno.stat(from);
  if (mtime) await Deno.utime(to, mtime, mtime);
}
