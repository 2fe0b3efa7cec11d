/**
 * Merges the branch of a task's workspace, or opens its pull request, as configured.
 *
 * @module
 */

import { dirname } from "node:path";
import { headOf } from "../base/cut.ts";
import { stringifyJson } from "../task/trace.ts";
import type { AgentTask, JsonValue } from "../task/task.ts";
import { openPullRequest } from "./forge/pull_request.ts";
import { commitOf, isIn, refsIn } from "./commits.ts";
import {
  bringHead,
  keptRefs,
  mergeBranch,
  type MergeEnd,
  type MergeOptions,
} from "./merge.ts";
import { firstLineOf } from "./names.ts";
import { isAddress } from "./repository.ts";
import type { ProgramEnd, Workspace } from "./workspace.ts";

/** What is merged with. */
export interface MergingOptions {
  readonly task: AgentTask;
  /** The user's check of the work, in any folder; undefined where there is none. */
  readonly verify: ((folder: string) => Promise<ProgramEnd>) | undefined;
  readonly stop: AbortSignal;
  /** @default {the base of the workspace} */
  readonly into?: string | undefined;
}

/**
 * Merges what the branch had when its work ended, as people were shown it, and notes
 * that.
 *
 * @throws the reason of `stop`, where it aborts.
 */
export async function mergeWorkspace(
  workspace: Workspace,
  { task, verify, stop, into }: MergingOptions,
): Promise<MergeEnd> {
  const { config, facts } = workspace;
  const { branch, head = "", baseCommit: since, base: usual } = facts;
  const base = into ?? usual;
  const end = await mergeBranch({
    taskId: task.id,
    ...placeOf(workspace),
    branch,
    head,
    since,
    base,
    mergeBy: config.mergeBy,
    folder: dirname(workspace.path),
    verify: verify && (async (folder) => {
      await workspace.prepare(folder);
      return await verify(folder);
    }),
    signal: stop,
  });
  if (end.kind === "merged" || end.kind === "up to date") {
    const merged = end.commit;
    workspace.note("merged", `${branch} into ${base}, as ${short(merged)}`, {
      ...facts,
      ...base === usual && { merged },
    });
  } else if (end.kind === "conflict") {
    const detail = `${branch} with ${base} in ${end.files.join(", ")}`;
    workspace.note("conflicted", detail, facts);
  }
  return end;
}

/** As people write a commit. */
export function short(commit: string): string {
  return commit.slice(0, 7);
}

/** What joins the branch with a base by hand, in its folder: `git merge main`. */
export async function howToJoin(
  workspace: Workspace,
  base = workspace.facts.base,
): Promise<string> {
  const { config, facts: { baseCommit }, isClone } = workspace;
  const { repo, refs } = branchesOf(workspace);
  const name = base.replace(/^refs\/heads\//, "");
  const isAlone = !await isIn(`${refs}/${name}`, baseCommit, { cwd: repo });
  const there = isClone ? `${config.remote}/${name}` : name;
  const join = isAlone
    ? `git rebase --onto ${there} ${short(baseCommit)}`
    : `git ${config.mergeBy} ${there}`;
  return isClone ? `git fetch ${config.remote} && ${join}` : join;
}

/** Whether what the branch began at is a branch, into which it can be merged. */
export async function hasBase(workspace: Workspace): Promise<boolean> {
  const { repo, refs } = branchesOf(workspace);
  const ref = `${refs}/${workspace.facts.base.replace(/^refs\/heads\//, "")}`;
  return await commitOf(ref, { cwd: repo }) !== undefined;
}

/** Where it was merged by a person: into another branch than what it began at. */
export async function mergedElsewhere(
  workspace: Workspace,
  taskId: string,
): Promise<{ readonly into: string; readonly commit: string } | undefined> {
  const { repo, refs } = branchesOf(workspace);
  const { head = "", branch } = workspace.facts;
  const options = { cwd: repo };
  const commit = await commitOf(`${keptRefs(taskId)}/${head}`, options) ??
    await commitOf(head, options);
  if (commit === undefined) return undefined;
  const into = (await refsIn(refs, options, commit))
    .map((name) => name.slice(refs.length + 1)).find((it) => it !== branch);
  return into === undefined ? undefined : { into, commit };
}

/** Where there are those into which it can be merged. */
function branchesOf(workspace: Workspace) {
  const { repo, remote } = placeOf(workspace);
  return {
    repo,
    refs: remote === undefined ? "refs/heads" : `refs/remotes/${remote.name}`,
  };
}

/** Where the base is, and the commits of the branch. */
function placeOf(
  { facts, isClone, path, config }: Workspace,
): Pick<MergeOptions, "repo" | "remote" | "headIn"> {
  const { repo } = facts;
  if (!isClone) return { repo };
  return isAddress(repo)
    ? { repo: path, remote: { name: config.remote, address: repo } }
    : { repo, headIn: path };
}

const MAX_TITLE_CHARACTERS = 200;
/** Forges take no more than 65,536. */
const MAX_BODY_CHARACTERS = 60_000;

/**
 * Pushes the branch, opens its pull request where there is none, and notes that.
 *
 * @returns its address
 * @throws {GitError} where it can't be pushed.
 * @throws {ForgeError} where the forge's program fails.
 */
export async function requestPull(
  workspace: Workspace,
  { task, result, stop, into }:
    & Omit<MergingOptions, "verify">
    & { readonly result: JsonValue | undefined },
): Promise<string> {
  const { config, facts } = workspace;
  const { branch, head = "", base, baseCommit: since } = facts;
  const { repo, headIn, remote } = placeOf(workspace);
  // What is pushed must be where it is pushed from.
  await bringHead({ head, headIn, repo, signal: stop });
  const pullRequest = await openPullRequest({
    forge: config.forge,
    repo,
    remote: config.remote,
    address: remote?.address,
    branch,
    head,
    since,
    base: into ?? base,
    title: titleOf(task, branch),
    body: bodyOf(task, result),
    signal: stop,
  });
  workspace.note("pull_request", pullRequest, { ...facts, pullRequest });
  return pullRequest;
}

function titleOf({ instruction }: AgentTask, branch: string): string {
  return headOf(firstLineOf(instruction), MAX_TITLE_CHARACTERS).trim() ||
    branch;
}

/** An issue is named, so that the forge links to it. */
const IS_ISSUE = /^[\w.-]+\/[\w.-]+[#!]\d+$|^https?:\/\/\S+$/;

function bodyOf(
  { id, targetRef }: AgentTask,
  result: JsonValue | undefined,
): string {
  const text = result === undefined || typeof result === "string"
    ? result ?? ""
    : `\`\`\`json\n${stringifyJson(result)}\n\`\`\``;
  return [
    headOf(text.trim(), MAX_BODY_CHARACTERS),
    targetRef && IS_ISSUE.test(targetRef) ? `Refs ${targetRef}` : "",
    `Agent-Runner-Task: ${id}`,
  ].filter((it) => it !== "").join("\n\n");
}
