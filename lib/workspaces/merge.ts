/**
 * Merges a task's branch into its base: in a worktree of its own, checked there, and
 * one after the other. The base moves last, and only to what was checked.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { type Base, LocalBase, NoBaseError, RemoteBase } from "./base.ts";
import {
  commitOf,
  git,
  GitError,
  isIn,
  NoGitError,
  pathsIn,
  runGit,
} from "./git.ts";
import { lock } from "./lock.ts";
import type { Remote } from "./remote.ts";

/** How a branch comes into its base. */
export const MERGES = ["merge", "rebase"] as const;
export type MergeBy = (typeof MERGES)[number];

/** What is merged, and where. */
export interface MergeOptions {
  readonly taskId: string;
  /** The repository of the base; where that is elsewhere, the clone of it. */
  readonly repo: string;
  /** The repository of the base, and its name in the clone. Default: it is here. */
  readonly remote?: Pick<Remote, "address" | "name"> | undefined;
  /** A folder of another repository that has the branch's commits. */
  readonly headIn?: string | undefined;
  /** The branch, for messages, and the commit of it that is merged. */
  readonly branch: string;
  readonly head: string;
  readonly base: string;
  readonly mergeBy: MergeBy;
  /** Where tasks have their folders. */
  readonly folder: string;
  /** Checks the folder that has what is to be merged. @default {all is well} */
  readonly verify?: ((path: string) => Promise<Verified>) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What checking what is to be merged came to. */
export interface Verified {
  readonly hasPassed: boolean;
  readonly output: string;
}

/** What came of merging. */
export type MergeEnd =
  | {
    readonly kind: "merged";
    /** The base's commit that has the branch. */
    readonly commit: string;
  }
  /** There is nothing in it that the base has not. */
  | { readonly kind: "up to date"; readonly commit: string }
  | {
    readonly kind: "conflict";
    readonly files: readonly string[];
    /** What git says. */
    readonly said: string;
  }
  | { readonly kind: "unverified"; readonly output: string }
  /** What is to be done, a person must do. */
  | { readonly kind: "refused"; readonly why: string };

/**
 * Merges. What an earlier call was killed in is gone on with: nothing is merged twice.
 *
 * @throws the signal's reason, where it aborts.
 */
export async function mergeBranch(options: MergeOptions): Promise<MergeEnd> {
  const { signal } = options;
  try {
    const end = await lockAndMerge(options);
    // Then its programs were stopped, and what they said is worth nothing.
    if (end.kind !== "merged") signal?.throwIfAborted();
    return end;
  } catch (error) {
    signal?.throwIfAborted();
    const isKnown = error instanceof GitError || error instanceof NoGitError ||
      error instanceof NoBaseError;
    if (!isKnown) throw error;
    return { kind: "refused", why: error.message };
  }
}

async function lockAndMerge(options: MergeOptions): Promise<MergeEnd> {
  const { repo, remote, signal } = options;
  const name = options.base.replace(/^refs\/heads\//, "");
  const base = remote === undefined
    ? new LocalBase(repo, name)
    : new RemoteBase({ ...remote, clone: repo }, name);
  const { folder, key, path } = await placeOf(options, name);
  using _lock = await lock(path, signal);
  await removeLeft(folder, { key, repo });
  await bringHead(options);
  for (;;) {
    signal?.throwIfAborted();
    const end = await tryMerge(base, options, join(folder, `${key}-${pick()}`));
    if (end !== "moved by others") return end;
  }
}

/** Undefined, where the base was moved meanwhile: what was checked counts no more. */
async function tryMerge(
  base: Base,
  options: MergeOptions,
  path: string,
): Promise<MergeEnd | "moved by others"> {
  const { repo, head, taskId, branch, verify, signal } = options;
  const from = await base.tip();
  const kept = `${keptRefs(taskId)}/${head}`;
  const before = await commitOf(kept, { cwd: repo });
  if (before && await isIn(from, before, { cwd: repo })) {
    return { kind: "merged", commit: before };
  }
  if (await isIn(from, head, { cwd: repo })) {
    return { kind: "up to date", commit: from };
  }
  await using _worktree = await addWorktree(path, { repo, commit: from });
  const made = await make(options, { path, from });
  signal?.throwIfAborted();
  if (typeof made !== "string") return made;
  if (made === from) return { kind: "up to date", commit: from };
  const check = await verify?.(path);
  signal?.throwIfAborted();
  if (check && !check.hasPassed) {
    return { kind: "unverified", output: check.output };
  }
  const why = `merge ${branch}`;
  const end = await base.move({ from, to: made, kept, why });
  if (end.kind === "moved by others") return end.kind;
  return end.kind === "moved" ? { kind: "merged", commit: made } : end;
}

/** Where the repository names what was made of a task's branch, by what it was. */
export function keptRefs(taskId: string): string {
  return `refs/agent-runner/merges/${taskId}`;
}

/** When nobody asks any more whether a task's branch is merged. */
export async function forgetMerges(taskId: string, cwd: string): Promise<void> {
  const refs = await git(
    ["for-each-ref", "--format=delete %(refname)", `${keptRefs(taskId)}/`],
    { cwd },
  );
  if (refs !== "") {
    await git(["update-ref", "--stdin"], { cwd, input: `${refs}\n` });
  }
}

/** The commit that the base is to move to, or why there is none. */
async function make(
  { head, branch, mergeBy, signal }: MergeOptions,
  { path, from }: { readonly path: string; readonly from: string },
): Promise<string | MergeEnd> {
  const options = { cwd: path, ...signal && { signal } };
  const end = mergeBy === "merge"
    ? await runGit(
      ["merge", "--ff", "-m", `Merge branch '${branch}'`, head],
      options,
    )
    : await rebase(head, { path, from, signal });
  if (end.code === 0) return await git(["rev-parse", "HEAD"], options);
  const said = `${end.stdout}\n${end.stderr}`.trim();
  const unmerged = await git(
    ["diff", "--name-only", "--diff-filter=U", "-z"],
    options,
  );
  const files = pathsIn(unmerged);
  return files.length > 0
    ? { kind: "conflict", files, said }
    : { kind: "refused", why: new GitError([mergeBy], end).message };
}

/** Not what the user's settings would have it do beside. */
const ONLY_REBASE = ["updateRefs", "autoSquash", "autoStash"]
  .flatMap((name) => ["-c", `rebase.${name}=false`]);

async function rebase(
  head: string,
  { path, from, signal }: {
    readonly path: string;
    readonly from: string;
    readonly signal: AbortSignal | undefined;
  },
) {
  const options = { cwd: path, ...signal && { signal } };
  await git(["checkout", "--quiet", "--detach", head], options);
  return await runGit([...ONLY_REBASE, "rebase", from], options);
}

/** A clone's commits come to where they are merged. */
async function bringHead(
  { head, headIn, repo, signal }: MergeOptions,
): Promise<void> {
  const options = { cwd: repo, ...signal && { signal } };
  if (await commitOf(head, options)) return;
  if (headIn === undefined) {
    throw new NoBaseError(`there is no commit ${head} in ${repo}.`);
  }
  await git(
    ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", headIn, head],
    options,
  );
}

/** The same for all that would merge into the same branch of a repository. */
async function placeOf(
  { repo, remote, folder }: MergeOptions,
  base: string,
) {
  const where = remote === undefined
    ? await Deno.realPath(
      await git(["rev-parse", "--path-format=absolute", "--git-common-dir"], {
        cwd: repo,
      }),
    )
    : remote.address;
  const key = createHash("sha256").update(`${where}\n${base}`).digest("hex")
    .slice(0, 16);
  const merges = join(folder, "merges");
  return { key, folder: merges, path: join(merges, `${key}.lock`) };
}

function pick(): string {
  return crypto.randomUUID().slice(0, 8);
}

async function addWorktree(
  path: string,
  { repo, commit }: { readonly repo: string; readonly commit: string },
): Promise<AsyncDisposable> {
  await git(["worktree", "add", "--quiet", "--detach", path, commit], {
    cwd: repo,
  });
  return {
    [Symbol.asyncDispose]: () => removeWorktree(path, repo),
  };
}

/** What a merge left that was killed. Nobody else has the key now. */
async function removeLeft(
  folder: string,
  { key, repo }: { readonly key: string; readonly repo: string },
): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    if (!name.startsWith(`${key}-`)) continue;
    await removeWorktree(join(folder, name), repo);
  }
}

async function removeWorktree(path: string, repo: string): Promise<void> {
  const args = ["worktree", "remove", "--force", "--force", path];
  const { code } = await runGit(args, { cwd: repo });
  if (code === 0) return;
  try {
    await Deno.remove(path, { recursive: true });
  } catch {
    // Somebody is at work in it yet. The next merge there removes it.
  }
}
