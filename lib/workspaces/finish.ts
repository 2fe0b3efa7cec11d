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
import { firstLineOf } from "./names.ts";
import { nestedSince } from "./nested.ts";
import { isThere } from "./record.ts";
import { shownFacts } from "./shown_facts.ts";
import type { Finished, NoteTaker, Workspace } from "./workspace.ts";

const MAX_NAMED = 20;
const MAX_SUBJECT_CHARACTERS = 72;

/** What it is done with. */
export interface FinishParts {
  readonly task: AgentTask;
  readonly note: NoteTaker;
  /** What was copied there, and is no part of the work. */
  readonly copied: readonly string[];
}

/**
 * Brings the work to its branch.
 *
 * @throws {WorkspaceError} where that needs a person.
 */
export async function finish(
  workspace: Workspace,
  outcome: Outcome,
  parts: FinishParts,
): Promise<Finished> {
  const { config, facts } = workspace;
  const unfinished = await unfinishedIn(workspace);
  if (unfinished) return { because: unfinished, facts };
  const warnings: string[] = [];
  const left = await leftIn(workspace.git, parts.copied);
  const nested = await nestedAmong(left, workspace);
  if (nested) return { because: nested, facts };
  if (left.length > 0) {
    const named = namesOf(left);
    if (config.uncommitted === "fail") {
      return {
        because: `It is not done yet: this is not committed: ${named}. ` +
          "Commit it, or remove it.",
        facts,
      };
    }
    if (config.uncommitted === "leave") {
      warnings.push(`Left uncommitted: ${named}`);
    } else {
      const refused = await commit(workspace, parts);
      if (refused) return { because: refused, facts };
      parts.note("committed", `What was left: ${named}`);
    }
  }
  const strayed = await returnToBranch(workspace);
  if (strayed && "because" in strayed) return { ...strayed, facts };
  if (strayed) warnings.push(strayed.warning);
  const counted = await count(workspace);
  parts.note("workspace", shownFacts(counted), { workspace: counted });
  return { outcome: warned(outcome, warnings), facts: counted };
}

function warned(outcome: Outcome, warnings: readonly string[]): Outcome {
  if (outcome.kind !== "completed" || warnings.length === 0) return outcome;
  const all = [...outcome.warning ? [outcome.warning] : [], ...warnings];
  return { ...outcome, warning: all.join(". ") };
}

/** What git has begun there and not ended: committing now would keep its marks. */
async function unfinishedIn(
  { gitDir, git }: Workspace,
): Promise<string | undefined> {
  for (const name of ["rebase-merge", "rebase-apply"]) {
    if (!await isThere(join(gitDir, name))) continue;
    return "It is not done yet: a rebase is under way. End it with " +
      "git rebase --continue, or --abort.";
  }
  const unmerged = await git(["diff", "--name-only", "-z", "--diff-filter=U"]);
  if (unmerged === "") return undefined;
  return `It is not done yet: there are conflicts in ${
    namesOf(pathsIn(unmerged))
  }. Resolve and commit them.`;
}

function namesOf(names: readonly string[]): string {
  const shown = names.slice(0, MAX_NAMED).join(", ");
  const more = names.length - MAX_NAMED;
  return more > 0 ? `${shown}, and ${more} more` : shown;
}

/** Of a repository that is no submodule, a commit would keep nothing. */
async function nestedAmong(
  left: readonly string[],
  { git, config, facts: { baseCommit } }: Workspace,
): Promise<string | undefined> {
  const isLeft = config.uncommitted === "leave";
  const [path] = [
    // What git does not look into.
    ...isLeft ? [] : left.filter((it) => it.endsWith("/")),
    ...await nestedSince(baseCommit, git),
  ].map((it) => it.replace(/\/$/, ""));
  return path &&
    `It is not done yet: ${path} is a repository of its own, of which git would ` +
      `keep nothing. Remove ${path}/.git, or add it as a submodule.`;
}

/** The files that are not committed. */
export async function leftIn(
  git: (args: readonly string[]) => Promise<string>,
  copied: readonly string[],
): Promise<string[]> {
  const text = await git([
    "status",
    "--porcelain",
    "-z",
    "--no-renames",
    "--untracked-files=all",
    "--",
    ":/",
    ...copied.map((it) => `:(top,exclude,literal)${it}`),
  ]);
  return pathsIn(text).map((it) => it.slice(3));
}

/** @returns why it was refused; undefined where it was not. */
async function commit(
  workspace: Workspace,
  { task, copied }: FinishParts,
): Promise<string | undefined> {
  const { git, config } = workspace;
  try {
    await git(["add", "--all", "--", ":/"]);
    if (copied.length > 0) {
      // As a path that is not to be added, one that is ignored would be an error.
      const paths = copied.map((it) => `:(top,literal)${it}`);
      await git(["reset", "--quiet", "--", ...paths]);
    }
    await git([
      "commit",
      "--quiet",
      "--allow-empty-message",
      "--file=-",
      ...config.noVerify ? ["--no-verify"] : [],
    ], { input: messageFor(task), hasHooks: !config.noVerify });
    return undefined;
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    if (error.lock || error.isFull) throw unbegun(error.message, error);
    await assertIdentity(workspace);
    return `It can't be committed: ${error.message}`;
  }
}

/** @throws {WorkspaceError} where git does not know who commits. */
export async function assertIdentity(
  { git, facts: { repo } }: Workspace,
): Promise<void> {
  try {
    await git(["var", "GIT_COMMITTER_IDENT"]);
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
 */
async function returnToBranch(
  { git, options, facts: { branch } }: Workspace,
): Promise<
  { readonly because: string } | { readonly warning: string } | undefined
> {
  const ref = `refs/heads/${branch}`;
  const head = await git(["rev-parse", "--symbolic-full-name", "HEAD"]);
  if (head === ref) return undefined;
  const there = head === "HEAD"
    ? "no branch"
    : `the branch ${head.replace("refs/heads/", "")}`;
  const tip = await git(["rev-parse", "HEAD"]);
  const own = await commitOf(ref, options);
  if (own !== undefined && !await isIn(tip, own, options)) {
    return {
      because: `It is not done yet: ${there} is checked out, and has not all ` +
        `that ${branch} has. Bring the work to ${branch}: git switch ${branch}`,
    };
  }
  await git([
    "update-ref",
    "-m",
    "agent-runner: as HEAD was left",
    ref,
    tip,
    own ?? "",
  ]);
  await git(["symbolic-ref", "-m", "agent-runner: back", "HEAD", ref]);
  return { warning: `Its work ended on ${there}; ${branch} has it now` };
}

/** What the branch has that its base has not. */
async function count(
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
