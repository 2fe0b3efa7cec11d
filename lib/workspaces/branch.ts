/**
 * The branch of a task: what it is called, whose it is, and where it began.
 *
 * @module
 */

import type { AgentTask } from "../task/task.ts";
import type { TaskWorkspace } from "../task/workspace.ts";
import { commitOf, mergeBase } from "./commits.ts";
import type { WorkspaceConfig } from "./config.ts";
import { WorkspaceError } from "./error.ts";
import { git, type GitOptions, runGit } from "./git.ts";
import { filled } from "./names.ts";
import type { WorkspaceRecord } from "./record.ts";

/** What a branch is made for. */
export interface BranchParts {
  readonly config: WorkspaceConfig;
  readonly task: AgentTask;
  /** What the trace knows of it: a retry goes on with the branch of before. */
  readonly known: TaskWorkspace | undefined;
  /** What an earlier run has begun. */
  readonly record: WorkspaceRecord | undefined;
}

/**
 * What the branch is called.
 *
 * @throws {WorkspaceError} where git takes no such name.
 */
export async function branchOf(
  { config, task, known, record }: BranchParts,
  repo: string,
  options: GitOptions,
): Promise<string> {
  const earlier = [record, known].find((it) => it?.repo === repo);
  const name = earlier?.branch ??
    filled(task.workspace?.branch ?? config.branch, task);
  const args = ["check-ref-format", `refs/heads/${name}`];
  const { code } = await runGit(args, options);
  if (code === 0 && name !== "HEAD") return name;
  throw new WorkspaceError(
    `Cannot make the branch ${name}: git takes no such name. Give another.`,
  );
}

/**
 * Whether the branch is there. One of this name is ours only where the record, which
 * is there before it, says so; or the trace, which anybody may have written, and the
 * log of the branch.
 *
 * @throws {WorkspaceError} where it is somebody else's.
 */
export async function isThereAlready(
  { branch, repo }: WorkspaceRecord,
  { record, known }: BranchParts,
  options: GitOptions,
): Promise<boolean> {
  const ref = `refs/heads/${branch}`;
  if (await commitOf(ref, options) === undefined) return false;
  const isNamed = (it?: Pick<WorkspaceRecord, "branch" | "repo">) =>
    it?.branch === branch && it.repo === repo;
  const isOurs = isNamed(record) ||
    isNamed(known) && await isMadeForTask(ref, options);
  if (isOurs) return true;
  throw isTaken(branch, repo);
}

/**
 * Makes it.
 *
 * @throws {GitError} where somebody has made one of this name meanwhile.
 */
export async function makeBranch(
  { branch, baseCommit, task }: WorkspaceRecord,
  options: GitOptions,
): Promise<void> {
  const why = ["-m", `${MADE_FOR}${task}`, "--create-reflog"];
  const none = "0".repeat(baseCommit.length);
  const ref = `refs/heads/${branch}`;
  await git(["update-ref", ...why, ref, baseCommit, none], options);
}

const MADE_FOR = "agent-runner: task ";

/** As its log says at its beginning. */
async function isMadeForTask(
  ref: string,
  options: GitOptions,
): Promise<boolean> {
  const log = await git(["reflog", "show", "--format=%gs", ref, "--"], options);
  return log.split("\n").at(-1)?.startsWith(MADE_FOR) ?? false;
}

/** It is not ours. */
export function isTaken(branch: string, repo: string): WorkspaceError {
  return new WorkspaceError(
    `Cannot make the branch ${branch} in ${repo}: there is one of this name ` +
      "already. Give the task another: --branch NAME",
  );
}

/** Where a branch of an earlier run began. */
export async function beginOf(
  { branch, baseCommit }: WorkspaceRecord,
  { known, record }: BranchParts,
  options: GitOptions,
): Promise<string> {
  const noted = [known, record].find((it) => it?.branch === branch)?.baseCommit;
  if (noted && await commitOf(noted, options)) return noted;
  return await mergeBase(baseCommit, `refs/heads/${branch}`, options) ??
    baseCommit;
}
