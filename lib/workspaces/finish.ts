/**
 * Brings a task's work to its branch: what was left uncommitted is committed or not,
 * as configured, and what came of the branch is counted.
 *
 * @module
 */

import { join } from "node:path";
import type { AgentTask, Outcome } from "../task/task.ts";
import type { TaskWorkspace } from "../task/workspace.ts";
import { unbegun } from "./error.ts";
import { beginOf, commitOf, isIn, pathsIn } from "./commits.ts";
import { GitError } from "./git.ts";
import { leftIn, notCommitted, stashed } from "./left.ts";
import { firstLineOf, namesOf } from "./names.ts";
import { nestedSince } from "./nested.ts";
import { isThere, removeIfThere } from "./record.ts";
import { shownFacts } from "./shown_facts.ts";
import { stageAll } from "./staging.ts";
import type { Reviewed, Workspace } from "./workspace.ts";

/** In the worktree's git folder. */
const MESSAGE = "AGENT_RUNNER_MESSAGE";
const MAX_SUBJECT_CHARACTERS = 72;

/** What it is done with. */
export interface FinishParts {
  readonly task: AgentTask;
  /** What was copied there, and is no part of the work. */
  readonly copied: readonly string[];
}

/** The message is for the agent. */
class NotDone extends Error {}

/**
 * Brings the work to its branch.
 *
 * @throws {WorkspaceError} where that needs a person.
 */
export async function finish(
  workspace: Workspace,
  outcome: Outcome,
  parts: FinishParts,
): Promise<Reviewed> {
  try {
    const warnings = await bringHome(workspace, parts);
    const counted = await count(workspace);
    workspace.note("workspace", shownFacts(counted), counted);
    if (outcome.kind !== "completed" || warnings.length === 0) {
      return { outcome };
    }
    const all = [...outcome.warning ? [outcome.warning] : [], ...warnings];
    return { outcome: { ...outcome, warning: all.join(". ") } };
  } catch (error) {
    if (error instanceof NotDone) return { because: error.message };
    throw error;
  }
}

/** @returns what a person should know. */
async function bringHome(
  workspace: Workspace,
  parts: FinishParts,
): Promise<string[]> {
  const { git, config: { uncommitted }, facts } = workspace;
  const warnings: string[] = [];
  await assertEnded(workspace);
  const left = await leftIn(git, parts.copied);
  await assertNoneNested(left, workspace);
  const named = namesOf(left);
  switch (left.length > 0 && uncommitted) {
    case "fail":
      throw new NotDone(
        `It is not done yet: this is not committed: ${named}. Commit it, or ` +
          "remove it.",
      );
    case "leave":
      warnings.push(`Left uncommitted: ${named}`);
      break;
    case "commit":
      if (await commit(workspace, parts)) {
        workspace.note("committed", `What was left: ${named}`, facts);
      }
      warnings.push(...await notCommitted(git, parts.copied));
  }
  warnings.push(...await returnToBranch(workspace));
  warnings.push(...await stashed(workspace));
  return warnings;
}

/** What git has begun there and not ended: committing now would keep its marks. */
async function assertEnded({ gitDir, git }: Workspace): Promise<void> {
  for (const name of ["rebase-merge", "rebase-apply"]) {
    if (!await isThere(join(gitDir, name))) continue;
    throw new NotDone(
      "It is not done yet: a rebase is under way. End it with " +
        "git rebase --continue, or --abort.",
    );
  }
  const unmerged = await git(["diff", "--name-only", "-z", "--diff-filter=U"]);
  if (unmerged === "") return;
  throw new NotDone(
    `It is not done yet: there are conflicts in ${
      namesOf(pathsIn(unmerged))
    }. Resolve and commit them.`,
  );
}

/** Of a repository that is no submodule, a commit would keep nothing. */
async function assertNoneNested(
  left: readonly string[],
  { git, path: folder, config, facts: { baseCommit } }: Workspace,
): Promise<void> {
  // What git does not look into.
  const unseen = config.uncommitted === "leave"
    ? []
    : left.filter((it) => it.endsWith("/"));
  const [path] = [...unseen, ...await nestedSince(baseCommit, git)]
    .map((it) => it.replace(/\/$/, ""));
  if (path === undefined) return;
  if (!await isThere(join(folder, path, ".git"))) {
    throw new NotDone(
      `It is not done yet: ${path} is a link to a commit of another repository, ` +
        "and no submodule. Say in .gitmodules where that is, or remove it: " +
        `git rm --cached ${path}`,
    );
  }
  throw new NotDone(
    `It is not done yet: ${path} is a repository of its own, of which git would ` +
      `keep nothing. Remove ${path}/.git, or add it as a submodule.`,
  );
}

/** @returns whether there was something to commit. */
async function commit(
  workspace: Workspace,
  { task, copied }: FinishParts,
): Promise<boolean> {
  const { git, gitDir, options, config } = workspace;
  // By a pipe, the half of one would be taken for all of it, were we killed.
  const message = join(gitDir, MESSAGE);
  try {
    await stageAll(git, options, copied);
    // Of what is changed in a submodule, it has nothing to commit.
    if (await git(["diff", "--cached", "--name-only"]) === "") return false;
    await removeIfThere(message);
    await Deno.writeTextFile(message, messageFor(task), { createNew: true });
    await git([
      "commit",
      "--quiet",
      `--file=${message}`,
      ...config.noVerify ? ["--no-verify"] : [],
    ], { hasHooks: !config.noVerify });
    await removeIfThere(message);
    return true;
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    if (error.lock || error.isFull) throw unbegun(error.message, error);
    await assertIdentity(workspace);
    throw new NotDone(`It can't be committed: ${error.message}`);
  }
}

/** @throws {WorkspaceError} where git does not know who commits. */
export async function assertIdentity(
  { git, facts: { repo } }: Workspace,
): Promise<void> {
  try {
    await git(["var", "GIT_COMMITTER_IDENT"]);
    await git(["var", "GIT_AUTHOR_IDENT"]);
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    throw unbegun(
      `Cannot commit in ${repo}: git does not know who you are. Run: ` +
        'git config --global user.name "…", and the same of user.email.',
      error,
    );
  }
}

/** The first line of the instruction, and the task's id. */
function messageFor({ id, instruction }: AgentTask): string {
  const line = firstLineOf(instruction);
  const subject = line.length > MAX_SUBJECT_CHARACTERS
    ? `${line.slice(0, MAX_SUBJECT_CHARACTERS - 1).trimEnd()}…`
    : line;
  return `${subject || "Work of an agent"}\n\nAgent-Runner-Task: ${id}\n`;
}

/**
 * The work may end on another branch, or on none. Where that has all that the task's
 * own has, this is moved there; else nobody knows what is meant.
 *
 * @returns what a person should know
 */
async function returnToBranch(
  { git, options, facts: { branch } }: Workspace,
): Promise<string[]> {
  const ref = `refs/heads/${branch}`;
  const head = await git(["rev-parse", "--symbolic-full-name", "HEAD"]);
  if (head === ref) return [];
  const there = head === "HEAD"
    ? "no branch"
    : `the branch ${head.replace("refs/heads/", "")}`;
  const tip = await git(["rev-parse", "HEAD"]);
  const own = await commitOf(ref, options);
  if (own !== undefined && !await isIn(tip, own, options)) {
    throw new NotDone(
      `It is not done yet: ${there} is checked out, and has not all that ` +
        `${branch} has. Bring the work to ${branch}: git switch ${branch}`,
    );
  }
  const why = "agent-runner: as HEAD was left";
  await git(["update-ref", "-m", why, ref, tip, own ?? ""]);
  await git(["symbolic-ref", "-m", "agent-runner: back", "HEAD", ref]);
  return [`Its work ended on ${there}; ${branch} has it now`];
}

/** What the branch has that its base has not. */
export async function count(
  { git, options, config, isClone, facts }: Workspace,
): Promise<TaskWorkspace> {
  const head = await git(["rev-parse", `refs/heads/${facts.branch}`]);
  const { base } = facts;
  const baseCommit = await beginOf(head, {
    baseCommit: facts.baseCommit,
    bases: isClone ? [`refs/remotes/${config.remote}/${base}`, base] : [base],
  }, options);
  const commits = await git(["rev-list", "--count", `${baseCommit}..${head}`]);
  const args = ["diff", "--shortstat", "--no-ext-diff", baseCommit, head];
  const stat = await git(args);
  const numberOf = (pattern: RegExp) => Number(pattern.exec(stat)?.[1] ?? 0);
  return {
    ...facts,
    baseCommit,
    head,
    commits: Number(commits),
    files: numberOf(/(\d+) files? changed/),
    insertions: numberOf(/(\d+) insertion/),
    deletions: numberOf(/(\d+) deletion/),
  };
}
