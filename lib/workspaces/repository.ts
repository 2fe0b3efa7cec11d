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
import { commitOf, git, GitError, runGit } from "./git.ts";

/** A repository on this machine. */
export interface Repository {
  /** What it is called: its checkout's folder, or its own where it is bare. */
  readonly path: string;
  /** Where git keeps what is of all its worktrees. */
  readonly commonDir: string;
  readonly isBare: boolean;
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
  const end = await runGit([
    "rev-parse",
    "--path-format=absolute",
    "--is-bare-repository",
    "--git-common-dir",
  ], { cwd: path });
  if (end.code !== 0) {
    const why = end.stderr.includes("not a git repository")
      ? `it is none. Run: git init ${JSON.stringify(path)}`
      : end.stderr.trim();
    throw unbegun(`Cannot use the repository ${path}: ${why}`);
  }
  const [bare = "", commonDir = ""] = end.stdout.split("\n");
  const isBare = bare === "true";
  const top = isBare ? commonDir : (await runGit([
    "rev-parse",
    "--path-format=absolute",
    "--show-toplevel",
  ], { cwd: path })).stdout.trim();
  return { path: top || commonDir, commonDir, isBare: isBare || !top };
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
  { path, commonDir }: Repository,
  { base, fetch, remote, taskId, signal }:
    & Pick<WorkspaceConfig, "base" | "fetch" | "remote">
    & { readonly taskId: string; readonly signal: AbortSignal },
): Promise<Base> {
  const options = { cwd: commonDir, signal };
  const head = await commitOf("HEAD", { ...options, cwd: path });
  const name = base ?? await headBranch(path) ?? head;
  if (name === undefined) throw noBase("it has no commits yet", path);
  if (fetch) {
    const fetched = await fetchBase(name, { options, remote, taskId, path });
    if (fetched) return { name, commit: fetched };
  }
  const commit = await commitOf(name, options);
  if (commit) return { name, commit };
  throw head === undefined
    ? noBase("it has no commits yet", path)
    : noBase(`${name} is no branch, tag or commit there`, path);
}

function noBase(why: string, path: string): WorkspaceError {
  return unbegun(
    `Cannot begin a branch in ${path}: ${why}. ` +
      (why.startsWith("it has") ? "Commit something." : "Give another base."),
  );
}

/** The branch that is checked out there; undefined where that is none. */
async function headBranch(path: string): Promise<string | undefined> {
  const { code, stdout } = await runGit(
    ["symbolic-ref", "--quiet", "--short", "HEAD"],
    { cwd: path },
  );
  return code === 0 ? stdout.trim() : undefined;
}

/**
 * Of the remote's branch of this name, as it is there now: into a ref of the
 * task's, so that no ref of the user's changes. Undefined where it has no such one.
 */
async function fetchBase(
  name: string,
  { options, remote, taskId, path }: {
    readonly options: { readonly cwd: string; readonly signal: AbortSignal };
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
