/**
 * Merges a task's branch into its base: in a worktree of its own, checked there, and
 * one after the other. The base moves last, and only to what was checked.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { type Base, LocalBase, NoBaseError, RemoteBase } from "./base.ts";
import { commitOf, isIn, pathsIn, refsIn } from "./commits.ts";
import { git, GitError, NoGitError, runGit } from "./git.ts";
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
  /**
   * What is merged begins after this commit. Where the base has not got that any more,
   * it is brought onto the base alone. Default: what the base has not
   */
  readonly since?: string | undefined;
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
  const base = remote
    ? new RemoteBase({ ...remote, clone: repo }, name)
    : new LocalBase(repo, name);
  const folder = join(options.folder, "merges");
  const key = await keyOf(options, name);
  using _lock = await lock(join(folder, `${key}.lock`), signal);
  // What a merge left that was killed. Nobody else has the key now.
  for await (const { name } of Deno.readDir(folder)) {
    if (name.startsWith(`${key}-`)) {
      await removeWorktree(join(folder, name), repo);
    }
  }
  await bringHead(options);
  for (;;) {
    signal?.throwIfAborted();
    // Something of the one before may be at work yet.
    const path = join(folder, `${key}-${crypto.randomUUID().slice(0, 8)}`);
    const end = await tryMerge(base, options, path);
    if (end !== "moved by others") return end;
  }
}

/** Again where the base was moved meanwhile: what was checked counts no more then. */
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
  try {
    const args = ["worktree", "add", "--quiet", "--detach", path, from];
    await git(args, { cwd: repo });
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
  } finally {
    await removeWorktree(path, repo);
  }
}

/** Where the repository names what was made of a task's branch, by what it was. */
export function keptRefs(taskId: string): string {
  return `refs/agent-runner/merges/${taskId}`;
}

/** When nobody asks any more whether a task's branch is merged. */
export async function forgetMerges(taskId: string, cwd: string): Promise<void> {
  const refs = await refsIn(keptRefs(taskId), { cwd });
  const input = refs.map((it) => `delete ${it}\n`).join("");
  if (input !== "") await git(["update-ref", "--stdin"], { cwd, input });
}

/** Not what the user's settings would have a rebase do beside. */
const ONLY_REBASE = ["updateRefs", "autoSquash", "autoStash", "rebaseMerges"]
  .flatMap((name) => ["-c", `rebase.${name}=false`]);

/** The commit that the base is to move to, or why there is none. */
async function make(
  { head, since, branch, mergeBy, signal }: MergeOptions,
  { path, from }: { readonly path: string; readonly from: string },
): Promise<string | MergeEnd> {
  const options = { cwd: path, signal };
  // Else what was dropped from the base would come back with it.
  const isAlone = since !== undefined && !await isIn(from, since, options);
  const isRebased = isAlone || mergeBy === "rebase";
  if (isRebased) {
    await git(["checkout", "--quiet", "--detach", head], options);
  }
  const onto = isAlone ? ["--onto", from, since] : [from];
  const args = isRebased
    ? [...ONLY_REBASE, "rebase", ...onto]
    : ["merge", "--ff", "-m", `Merge branch '${branch}'`, head];
  const end = await runGit(args, options);
  if (end.code === 0) return await git(["rev-parse", "HEAD"], options);
  const files = pathsIn(
    await git(["diff", "--name-only", "--diff-filter=U", "-z"], options),
  );
  return files.length > 0
    ? { kind: "conflict", files, said: `${end.stdout}\n${end.stderr}`.trim() }
    : {
      kind: "refused",
      why: new GitError([isRebased ? "rebase" : "merge"], end).message,
    };
}

/** A clone's commits come to where they are merged. */
export async function bringHead(
  { head, headIn, repo, signal }: Pick<
    MergeOptions,
    "head" | "headIn" | "repo" | "signal"
  >,
): Promise<void> {
  const options = { cwd: repo, signal };
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
async function keyOf(
  { repo, remote }: MergeOptions,
  base: string,
): Promise<string> {
  const commonDir = ["rev-parse", "--path-format=absolute", "--git-common-dir"];
  const where = remote?.address ??
    await Deno.realPath(await git(commonDir, { cwd: repo }));
  return createHash("sha256").update(`${where}\n${base}`).digest("hex")
    .slice(0, 16);
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
