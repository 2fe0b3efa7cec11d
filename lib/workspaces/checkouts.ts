/**
 * The worktrees in which a branch is checked out: they follow where it is moved, and
 * lose nothing of what is done there.
 *
 * @module
 */

import { join } from "node:path";
import { git, GitError, runGit } from "./git.ts";

/** A move of a branch, from one commit to a later one. */
export interface Move {
  /** The repository's folder. */
  readonly repo: string;
  /** `refs/heads/main` */
  readonly ref: string;
  readonly from: string;
  readonly to: string;
}

/** Why the worktrees can't follow; undefined where they can. */
export async function followProblem(move: Move): Promise<string | undefined> {
  for (const { path, isRebasing } of await checkoutsOf(move)) {
    const name = move.ref.replace("refs/heads/", "");
    if (isRebasing) return `${name} is being rebased in ${path}. End that.`;
    if (!await isThere(path)) {
      return `${name} is checked out in ${path}, which is not there now. If it ` +
        "is gone for good: git worktree prune.";
    }
    const said = await readTree(move, { path, isDryRun: true });
    if (said === undefined) continue;
    return `${name} is checked out in ${path} with changes of its own that ` +
      `would be lost. Commit or stash them. git says: ${said}`;
  }
  return undefined;
}

/**
 * Lets the worktrees follow.
 *
 * @returns what is left to be done by hand; undefined for nothing.
 */
export async function follow(move: Move): Promise<string | undefined> {
  const left: string[] = [];
  for (const { path, isRebasing } of await checkoutsOf(move)) {
    if (isRebasing || !await isThere(path)) continue;
    const said = await readTree(move, { path });
    if (said === undefined) continue;
    left.push(
      `${path} could not follow. When nothing is at work there: cd ${path} && ` +
        `git read-tree -m -u ${move.from} ${move.to}. git says: ` +
        said,
    );
  }
  return left.length === 0 ? undefined : left.join(" ");
}

/** @returns what git says against it; undefined where it is done. */
async function readTree(
  { from, to }: Move,
  { path, isDryRun = false }: {
    readonly path: string;
    readonly isDryRun?: boolean;
  },
): Promise<string | undefined> {
  // What was only touched is no change.
  await runGit(["update-index", "-q", "--refresh"], { cwd: path });
  try {
    await git(
      ["read-tree", "-m", "-u", ...isDryRun ? ["-n"] : [], from, to],
      { cwd: path },
    );
    return undefined;
  } catch (error) {
    const isKnown = error instanceof GitError && !(error.lock && isDryRun);
    if (!isKnown) throw error;
    return error.lock ? error.message : error.end.stderr.trim();
  }
}

interface Checkout {
  readonly path: string;
  /** Its HEAD is detached, and comes back to the branch. */
  readonly isRebasing: boolean;
}

async function checkoutsOf(
  { repo, ref }: Pick<Move, "repo" | "ref">,
): Promise<Checkout[]> {
  const list = await git(["worktree", "list", "--porcelain"], { cwd: repo });
  const found: Checkout[] = [];
  for (const lines of list.split("\n\n").map((it) => it.split("\n"))) {
    const path = lines[0]?.replace(/^worktree /, "") ?? "";
    if (lines.includes(`branch ${ref}`)) {
      found.push({ path, isRebasing: false });
    } else if (lines.includes("detached") && await isRebased(path, ref)) {
      found.push({ path, isRebasing: true });
    }
  }
  return found;
}

async function isRebased(path: string, ref: string): Promise<boolean> {
  if (!await isThere(path)) return false;
  const { code, stdout } = await runGit(["rev-parse", "--absolute-git-dir"], {
    cwd: path,
  });
  // What is no worktree any more is rebased by nobody.
  if (code !== 0) return false;
  const gitDir = stdout.trim();
  for (const name of ["rebase-merge", "rebase-apply"]) {
    try {
      const head = await Deno.readTextFile(join(gitDir, name, "head-name"));
      if (head.trim() === ref) return true;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return false;
}

async function isThere(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
