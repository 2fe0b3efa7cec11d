/**
 * The worktrees in which a branch is checked out: they follow where it is moved, and
 * lose nothing of what is done there.
 *
 * @module
 */

import { join } from "node:path";
import { git, type GitEnd, runGit } from "./git.ts";

/** A move of a branch, from one commit to a later one. */
export interface Move {
  /** The repository's folder. */
  readonly repo: string;
  /** `refs/heads/main` */
  readonly ref: string;
  readonly from: string;
  readonly to: string;
}

/** How often it is tried where another git is at work in a worktree. */
const TRIES = 50;
const TRY_AGAIN_MS = 100;

/** Why the worktrees can't follow; undefined where they can. */
export async function followProblem(move: Move): Promise<string | undefined> {
  for (const { path, isRebasing } of await checkoutsOf(move)) {
    const name = move.ref.replace("refs/heads/", "");
    if (isRebasing) return `${name} is being rebased in ${path}. End that.`;
    if (!await isThere(path)) {
      return `${name} is checked out in ${path}, which is not there now. If it ` +
        "is gone for good: git worktree prune.";
    }
    const { code, ...said } = await readTree(move, { path, isDryRun: true });
    if (code === 0) continue;
    return `${name} is checked out in ${path} with changes of its own that ` +
      `would be lost. Commit or stash them. git says: ${wordsOf(said)}`;
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
    const { code, ...said } = await readTree(move, { path });
    if (code === 0) continue;
    left.push(
      `${path} could not follow. When nothing is at work there: cd ${path} && ` +
        `git read-tree -m -u ${move.from} ${move.to}. git says: ` +
        wordsOf(said),
    );
  }
  return left.length === 0 ? undefined : left.join(" ");
}

async function readTree(
  { from, to }: Move,
  { path, isDryRun = false }: {
    readonly path: string;
    readonly isDryRun?: boolean;
  },
): Promise<GitEnd> {
  for (let tries = 1;; tries++) {
    // What was only touched is no change.
    await runGit(["update-index", "-q", "--refresh"], { cwd: path });
    const end = await runGit(
      ["read-tree", "-m", "-u", ...isDryRun ? ["-n"] : [], from, to],
      { cwd: path },
    );
    const isLocked = end.code !== 0 && /index\.lock/.test(end.stderr);
    if (!isLocked || tries >= TRIES) return end;
    await new Promise((resolve) => setTimeout(resolve, TRY_AGAIN_MS));
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

function wordsOf({ stdout, stderr }: Omit<GitEnd, "code">): string {
  return (stderr.trim() || stdout.trim()).replace(/^(error|fatal): /, "");
}
