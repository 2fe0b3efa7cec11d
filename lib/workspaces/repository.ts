/**
 * The repository that tasks work on: where it is, and what a branch begins at there.
 *
 * @module
 */

import {
  basename,
  dirname,
  isAbsolute,
  join,
  relative,
  resolve,
} from "node:path";
import { messageOf } from "../base/errors.ts";
import type { WorkspaceConfig } from "./config.ts";
import { unbegun, WorkspaceError } from "./error.ts";
import { commitOf } from "./commits.ts";
import { git, GitError, type GitOptions, runGit } from "./git.ts";

/** A repository on this machine. */
export interface Repository {
  /** What it is called: its checkout's folder, or its own where it has none. */
  readonly path: string;
  /** Where git keeps what is of all its worktrees. */
  readonly commonDir: string;
}

/** Whether a text is the address of a repository, and no folder. */
export function isAddress(text: string): boolean {
  return /^(https?|ssh|git|file):\/\//.test(text) ||
    /^[\w.-]+@[\w.-]+:/.test(text);
}

/**
 * Finds a repository.
 *
 * @throws {WorkspaceError} where there is none.
 */
export async function findRepository(
  folder: string,
  baseFolder: string,
): Promise<Repository> {
  const path = resolve(baseFolder, folder);
  try {
    if (!(await Deno.stat(path)).isDirectory) {
      throw new Error("it is no folder");
    }
  } catch (error) {
    throw unbegun(
      `Cannot use the repository ${path}: ${
        error instanceof Deno.errors.NotFound
          ? "it does not exist"
          : messageOf(error)
      }. Give the folder of one.`,
      error,
    );
  }
  const { stdout, stderr } = await runGit([
    "rev-parse",
    "--path-format=absolute",
    "--git-common-dir",
    // A bare one has none.
    "--show-toplevel",
  ], { cwd: path });
  const [commonDir = "", top] = stdout.split("\n");
  if (commonDir !== "") return { path: top || commonDir, commonDir };
  const why = stderr.includes("not a git repository")
    ? `it is none. Run: git init ${JSON.stringify(path)}`
    : stderr.trim();
  throw unbegun(`Cannot use the repository ${path}: ${why}`);
}

/**
 * Tasks' folders in a checkout would be files of it, and in the way of its git.
 *
 * @throws {WorkspaceError} where a folder is in the repository's own.
 */
export async function assertOutside(
  { path, commonDir }: Repository,
  folder: string,
): Promise<void> {
  const real = await realPathOf(folder);
  for (const own of [path, commonDir]) {
    const within = relative(await realPathOf(own), real);
    if (/^\.\.([/\\]|$)/.test(within) || isAbsolute(within)) continue;
    throw unbegun(
      `Cannot use the folder ${folder}: it is in the repository ${own}. Give ` +
        "the workspace a folder outside of that.",
    );
  }
}

/** Also of what is not there yet. */
async function realPathOf(path: string): Promise<string> {
  try {
    return await Deno.realPath(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) return path;
    const parent = dirname(path);
    return parent === path
      ? path
      : join(await realPathOf(parent), basename(path));
  }
}

/** What a branch begins at. */
export interface Base {
  /** A branch; a commit, where HEAD is detached. */
  readonly name: string;
  readonly commit: string;
}

/**
 * The base as it is now.
 *
 * @throws {WorkspaceError} where there is none.
 */
export async function findBase(
  { path }: Repository,
  { base, fetch, remote, taskId, signal }:
    & Pick<WorkspaceConfig, "base" | "fetch" | "remote">
    & { readonly taskId: string; readonly signal: AbortSignal },
): Promise<Base> {
  const options = { cwd: path, signal };
  const branches = { repo: path, below: "refs/heads", head: "HEAD" };
  const name = base ?? await usualBase(branches, options);
  if (fetch) {
    const fetched = await fetchBase(name, { options, remote, taskId, path });
    if (fetched) return { name, commit: fetched };
  }
  return await baseIn(branches, name, options);
}

/** The same of a clone: a branch of what it was made of. */
export async function findCloneBase(
  repo: string,
  { base, remote }: Pick<WorkspaceConfig, "base" | "remote">,
  options: GitOptions,
): Promise<Base> {
  const below = `refs/remotes/${remote}`;
  const branches = { repo, below, head: `${below}/HEAD` };
  const name = base?.replace(`${remote}/`, "") ??
    await usualBase(branches, options);
  return await baseIn(branches, name, options);
}

/** Where branches are, and what names the usual one. */
interface Branches {
  readonly repo: string;
  readonly below: string;
  readonly head: string;
}

async function usualBase(
  { repo, below, head }: Branches,
  options: GitOptions,
): Promise<string> {
  const args = ["symbolic-ref", "--quiet", head];
  const { code, stdout } = await runGit(args, options);
  if (code === 0) return stdout.trim().slice(below.length + 1);
  const commit = await commitOf("HEAD", options);
  if (commit !== undefined) return commit;
  throw noBase(repo, "it has no commits yet. Commit something.");
}

async function baseIn(
  { repo, below }: Branches,
  name: string,
  options: GitOptions,
): Promise<Base> {
  const commit = await commitOf(`${below}/${name}`, options) ??
    await commitOf(name, options);
  if (commit !== undefined) return { name, commit };
  throw noBase(
    repo,
    await commitOf("HEAD", options) === undefined
      ? "it has no commits yet. Commit something."
      : `${name} is no branch, tag or commit there. Give another base.`,
  );
}

function noBase(repo: string, why: string): WorkspaceError {
  return unbegun(`Cannot begin a branch in ${repo}: ${why}`);
}

/**
 * Of the remote's branch of this name, as it is there now: into a ref of the
 * task's, so that no ref of the user's changes. Undefined where it has no such one.
 */
async function fetchBase(
  name: string,
  { options, remote, taskId, path }: {
    readonly options: GitOptions;
    readonly remote: string;
    readonly taskId: string;
    readonly path: string;
  },
): Promise<string | undefined> {
  const branch = name.startsWith(`${remote}/`)
    ? name.slice(remote.length + 1)
    : name;
  const ref = `refs/agent-runner/fetched/${taskId}`;
  try {
    await git([
      "fetch",
      "--quiet",
      "--no-tags",
      "--no-write-fetch-head",
      "--no-recurse-submodules",
      "--refmap=",
      "--end-of-options",
      remote,
      `+refs/heads/${branch}:${ref}`,
    ], options);
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    if (/couldn't find remote ref/.test(error.end.stderr)) return undefined;
    throw unbegun(
      `Cannot fetch ${branch} of ${remote} into ${path}: ${error.message}`,
      error,
    );
  }
  const commit = await commitOf(ref, options);
  await git(["update-ref", "-d", ref], options);
  return commit;
}
