/**
 * Where the changes of a task are, and what they are compared with.
 *
 * @module
 */

import { join } from "node:path";
import { UserError } from "../base/errors.ts";
import type { AgentTask } from "../task/task.ts";
import { parseTrace } from "../task/trace.ts";
import { type TaskWorkspace, taskWorkspaceOf } from "../task/workspace.ts";
import { beginOf, commitOf, pathsIn } from "./commits.ts";
import { git, type GitOptions, isFolder, runGit } from "./git.ts";
import { copyIndex, sparseArgs } from "./staging.ts";

/** The changes of a task can't be shown. */
export class NoChangesError extends UserError {
  override readonly name = "NoChangesError";

  constructor(
    { id }: Pick<AgentTask, "id">,
    readonly reason: "no_workspace" | "not_here",
    why: string,
  ) {
    super(`Cannot show the changes of task ${id}: ${why}`);
  }
}

/** What is compared, until it is disposed of. */
export interface Comparison extends AsyncDisposable {
  /** Where git runs: the worktree, or the repository where that is gone. */
  readonly folder: string;
  /** What the changes began at. */
  readonly base: string;
  /** The last commit. */
  readonly head: string;
  readonly branch: string;
  /** Some of it is in no commit: then the worktree is compared, not `head`. */
  readonly isUncommitted: boolean;
  /** What git is to be given besides: an index that knows of new files. */
  readonly env: Readonly<Record<string, string>>;
  /** The same, and that nothing of the repository's is run. */
  readonly quietly: GitOptions;
}

/**
 * How git is to look at a folder that an agent has written into, its configuration
 * too: filters are programs, and so is what fetches the objects that are missing.
 */
async function quietly(cwd: string, signal?: AbortSignal): Promise<GitOptions> {
  const plain = {
    cwd,
    signal,
    surroundings: {
      PATH: Deno.env.get("PATH") ?? "",
      HOME: Deno.env.get("HOME") ?? "",
    },
    env: { GIT_NO_LAZY_FETCH: "1" },
  };
  const { stdout } = await runGit(
    ["config", "--null", "--name-only", "--get-regexp", "^filter[.]"],
    plain,
  );
  const names = new Set(
    stdout.split("\0").filter(Boolean)
      .map((it) => it.slice(0, it.lastIndexOf("."))),
  );
  const unset = [...names].flatMap((name) => [
    [`${name}.clean`, ""],
    [`${name}.process`, ""],
    [`${name}.required`, "false"],
  ]);
  return {
    ...plain,
    env: {
      ...plain.env,
      GIT_CONFIG_COUNT: String(unset.length),
      ...Object.fromEntries(unset.flatMap(([key, value], index) => [
        [`GIT_CONFIG_KEY_${index}`, key],
        [`GIT_CONFIG_VALUE_${index}`, value],
      ])),
    },
  };
}

/**
 * Finds what the changes of a task are: from the commit where its branch left its
 * base to its last commit, or to the worktree as it is.
 *
 * @throws {NoChangesError} where there are none to be had on this machine.
 */
export async function compare(
  task: Pick<AgentTask, "id" | "traceText">,
  signal?: AbortSignal,
): Promise<Comparison> {
  const workspace = taskWorkspaceOf(parseTrace(task.traceText) ?? {});
  if (!workspace) {
    throw new NoChangesError(
      task,
      "no_workspace",
      "it has no repository to work on, or has not begun. A provider's " +
        "workspace with git gives it one.",
    );
  }
  const { folder, head, isWorktree } = await placeOf(workspace, signal) ??
    missing(task, workspace);
  const options = await quietly(folder, signal);
  const { branch, baseCommit } = workspace;
  const bases = [workspace.base];
  const base = await beginOf(head, { baseCommit, bases }, options);
  const changed = isWorktree ? await changedIn(options) : undefined;
  const index = changed && await indexWith(changed, options);
  return {
    folder,
    base,
    head,
    branch,
    isUncommitted: index !== undefined,
    env: indexIn(index),
    quietly: { ...options, env: { ...options.env, ...indexIn(index) } },
    async [Symbol.asyncDispose]() {
      if (index) await Deno.remove(index, { recursive: true });
    },
  };
}

function missing(
  task: Pick<AgentTask, "id">,
  { repo, host, path, branch }: TaskWorkspace,
): never {
  throw new NoChangesError(
    task,
    "not_here",
    `neither its folder ${path} nor its branch ${branch} in ${repo} is on ` +
      `this machine. They were on ${host}.`,
  );
}

interface Place {
  readonly folder: string;
  readonly head: string;
  readonly isWorktree: boolean;
}

async function placeOf(
  { path, repo, branch, head: last }: TaskWorkspace,
  signal?: AbortSignal,
): Promise<Place | undefined> {
  if (await isTopOf(path, signal)) {
    const head = await commitOf("HEAD", { cwd: path, signal });
    if (head) return { folder: path, head, isWorktree: true };
  }
  if (!await isFolder(repo)) return undefined;
  // A merged branch may be gone, and its commits there.
  for (const ref of [`refs/heads/${branch}`, ...last ? [last] : []]) {
    const head = await commitOf(ref, { cwd: repo, signal });
    if (head) return { folder: repo, head, isWorktree: false };
  }
  return undefined;
}

/** A folder that is no worktree any more may lie in another repository. */
async function isTopOf(path: string, signal?: AbortSignal): Promise<boolean> {
  if (!await isFolder(path)) return false;
  const { code, stdout } = await runGit(
    ["rev-parse", "--show-toplevel"],
    { cwd: path, signal },
  );
  return code === 0 &&
    stdout.replace(/\n$/, "") === await Deno.realPath(path);
}

/** The files that git does not know yet; undefined where all is committed. */
async function changedIn(
  options: GitOptions,
): Promise<readonly string[] | undefined> {
  const status = await git([
    "status",
    "--porcelain",
    "-z",
    "--no-renames",
    "--untracked-files=all",
    "--ignore-submodules=dirty",
  ], options);
  if (status === "") return undefined;
  return pathsIn(status).filter((it) => it.startsWith("?? "))
    .map((it) => it.slice("?? ".length))
    // Another repository.
    .filter((it) => !it.endsWith("/"));
}

/** A copy of the index that knows of new files. The worktree's own stays as it is. */
async function indexWith(
  names: readonly string[],
  options: GitOptions,
): Promise<string> {
  const index = await git(
    ["rev-parse", "--path-format=absolute", "--git-path", "index"],
    options,
  );
  const folder = await Deno.makeTempDir({ prefix: "agent-runner-index-" });
  try {
    await copyIndex(index, join(folder, "index"));
    const own = { ...options, env: { ...options.env, ...indexIn(folder) } };
    if (names.length > 0) {
      await git([
        "--literal-pathspecs",
        "add",
        "--intent-to-add",
        ...await sparseArgs(options),
        "--pathspec-from-file=-",
        "--pathspec-file-nul",
      ], { ...own, input: names.map((it) => `${it}\0`).join("") });
    }
    // What was only touched has not changed. It says so by its exit code.
    await runGit(["update-index", "-q", "--refresh"], own);
  } catch (error) {
    await Deno.remove(folder, { recursive: true });
    throw error;
  }
  return folder;
}

function indexIn(folder: string | undefined): Readonly<Record<string, string>> {
  return folder === undefined ? {} : { GIT_INDEX_FILE: join(folder, "index") };
}
