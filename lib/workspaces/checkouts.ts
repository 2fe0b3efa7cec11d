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
  const name = move.ref.replace("refs/heads/", "");
  for (const { path, isRebasing } of await checkoutsOf(move)) {
    if (isRebasing) return `${name} is being rebased in ${path}. End that.`;
    if (!await isThere(path)) {
      return `${name} is checked out in ${path}, which is not there now. If it ` +
        "is gone for good: git worktree prune.";
    }
    const said = await readTree(move, { path, isDryRun: true });
    if (said !== undefined) {
      return `${name} is checked out in ${path} with changes of its own that ` +
        `would be lost. Commit or stash them. git says: ${said}`;
    }
    const files = await overwritten(move, path);
    if (files.length > 0) {
      return `${name} is checked out in ${path} with files that are not ` +
        `committed and would be overwritten: ${shown(files)}. Move them away.`;
    }
  }
  return undefined;
}

/**
 * Lets the worktrees follow; those that have, stay as they are. To be called before
 * the branch moves: a commit of the user's that comes between has all of it then.
 *
 * @returns why one can't; undefined where all have.
 */
export async function follow(move: Move): Promise<string | undefined> {
  for (const { path, isRebasing } of await checkoutsOf(move)) {
    if (isRebasing || !await isThere(path)) continue;
    const said = await readTree(move, { path });
    if (said === undefined) continue;
    return `${path} could not follow. When nothing is at work there: cd ${path} ` +
      `&& git read-tree -m -u ${move.from} ${move.to}. git says: ${said}`;
  }
  return undefined;
}

/** Whether somebody has changed what a move changes, between its begin and a commit. */
export async function isTouched(
  { repo, from, to }: Omit<Move, "ref">,
  commit: string,
): Promise<boolean> {
  const ours = new Set(await changedPaths(["--no-renames", from, to], repo));
  return (await changedPaths(["--no-renames", from, commit], repo))
    .some((path) => ours.has(path));
}

async function changedPaths(
  args: readonly string[],
  cwd: string,
): Promise<string[]> {
  const diff = ["diff-tree", "-r", "-z", "--name-only", ...args];
  return pathsIn(await git(diff, { cwd }));
}

function pathsIn(text: string): string[] {
  return text.split("\0").filter((path) => path !== "");
}

/** The files that git would overwrite without a word, for it ignores them. */
async function overwritten(
  { from, to }: Move,
  path: string,
): Promise<readonly string[]> {
  const args = ["--no-renames", "--diff-filter=A", from, to];
  const there = new Set<string>();
  for (const added of await changedPaths(args, path)) {
    const found = await inTheWay(path, added);
    if (found !== undefined) there.add(found);
  }
  if (there.size === 0) return [];
  return pathsIn(
    await git(
      ["--literal-pathspecs", "ls-files", "--others", "-z", "--", ...there],
      { cwd: path },
    ),
  );
}

/** What is at the path of a file, or where a folder of it is to be. */
async function inTheWay(
  folder: string,
  file: string,
): Promise<string | undefined> {
  const names = file.split("/");
  for (let depth = 1; depth <= names.length; depth++) {
    const path = names.slice(0, depth).join("/");
    try {
      const { isDirectory } = await Deno.lstat(join(folder, path));
      if (!isDirectory || depth === names.length) return path;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }
  return undefined;
}

const MAX_SHOWN = 5;

function shown(files: readonly string[]): string {
  return files.slice(0, MAX_SHOWN).join(", ") +
    (files.length > MAX_SHOWN ? ", …" : "");
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
    return error.lock
      ? error.message
      : error.end.stderr.trim().replace(/\s*\n\s*/g, " ");
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
