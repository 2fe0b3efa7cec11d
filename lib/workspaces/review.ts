/**
 * What becomes of a task's branch when its work is done.
 *
 * @module
 */

import { UserError } from "../base/errors.ts";
import type { Approval, JsonObject, Outcome } from "../task/task.ts";
import { answersOf } from "../task/trace.ts";
import { OUTPUT_KEY } from "../task/transitions.ts";
import {
  approvalOf,
  type DoneBefore,
  doneBeforeOf,
} from "../task/workspace.ts";
import {
  asked,
  asking,
  type Completed,
  noBase,
  questionOf,
  sentence,
  spentOn,
} from "./asking.ts";
import type { WorkspaceConfig } from "./config.ts";
import { WorkspaceError } from "./error.ts";
import { ForgeError } from "./forge/program.ts";
import { GitError } from "./git.ts";
import {
  hasBase,
  howToJoin,
  mergedElsewhere,
  mergeWorkspace,
  type MergingOptions,
  requestPull,
  short,
} from "./merging.ts";
import type { Reviewed, Workspace } from "./workspace.ts";

/** What a {@linkcode review} is made with. */
export interface ReviewOptions extends Omit<MergingOptions, "into"> {
  /** The task's trace, as it was when the run began. */
  readonly trace: JsonObject;
}

/**
 * Decides what follows for work that is done, is committed, and has passed its
 * check: a person is asked, or it is merged, or a pull request opened; or nothing.
 */
export async function review(
  workspace: Workspace,
  outcome: Outcome,
  options: ReviewOptions,
): Promise<Reviewed> {
  const { config, facts } = workspace;
  const { head, commits = 0 } = facts;
  if (outcome.kind !== "completed" || head === undefined || commits === 0) {
    return { outcome };
  }
  if (asksFirst(config) && approvedIn(options.trace)?.head !== head) {
    if (config.onApproved === "merge" && !await hasBase(workspace)) {
      return { outcome: asking(noBase(facts, options.task), facts, outcome) };
    }
    return { outcome: asking(questionOf(config, facts), facts, outcome) };
  }
  return await bring(workspace, outcome, options);
}

/**
 * What follows for a task that was approved since its last run, or before it was
 * retried: nothing of its work is done again. Where a person has done more since that
 * was asked, it is asked anew. Undefined where the work is to be done.
 */
export async function reviewApproved(
  workspace: Workspace,
  options: ReviewOptions,
): Promise<Reviewed | undefined> {
  const { trace } = options;
  const { facts } = workspace;
  const approval = approvedIn(trace);
  const before = approval ? undefined : doneIn(trace);
  if (!approval && !before) return undefined;
  const tip = await workspace.git(["rev-parse", `refs/heads/${facts.branch}`]);
  const result = (before ? before.output : trace[OUTPUT_KEY]) ?? undefined;
  const done: Completed = {
    kind: "completed",
    ...result !== undefined && { result },
  };
  if (!approval) {
    const isSame = before?.head === tip && facts.head === tip;
    return isSame ? await review(workspace, done, options) : undefined;
  }
  if (approval.head === tip && facts.head === tip) {
    return await bring(workspace, done, options);
  }
  const finished = await workspace.finish(done);
  if ("outcome" in finished) {
    return await review(workspace, finished.outcome, options);
  }
  const question =
    `${sentence(finished.because)} It is in ${workspace.path}. ` +
    "Then approve it again.";
  return { outcome: asking(question, facts, done) };
}

/** Whether a person is asked before anything is done with the branch. */
export function asksFirst(
  { approval, onApproved }: Pick<WorkspaceConfig, "approval" | "onApproved">,
): boolean {
  return approval === undefined
    ? onApproved !== "none"
    : approval === "before-merge";
}

/** A retry that somebody has said something to is for the agent. */
function doneIn(trace: JsonObject): DoneBefore | undefined {
  const isTold = answersOf(trace).length > 0 ||
    Array.isArray(trace.notes) && trace.notes.length > 0;
  return isTold ? undefined : doneBeforeOf(trace);
}

/** What was said since is more than a yes. */
function approvedIn(trace: JsonObject): Approval | undefined {
  const approval = approvalOf(trace);
  if (approval?.of !== "merge") return undefined;
  const { answered_at: answeredAt = "" } = answersOf(trace).at(-1) ?? {};
  return Date.parse(answeredAt) > Date.parse(approval.at)
    ? undefined
    : approval;
}

/**
 * Does with the branch as configured. What keeps it from that may pass: then it is
 * tried again, and asked at last. The work is done, so it does not fail.
 */
async function bring(
  workspace: Workspace,
  outcome: Completed,
  options: ReviewOptions,
): Promise<Reviewed> {
  const { facts, config: { onApproved } } = workspace;
  try {
    switch (onApproved) {
      case "none":
        return { outcome };
      case "merge":
        return await merge(workspace, outcome, options);
      case "pr":
        return { outcome: await request(workspace, outcome, options) };
    }
  } catch (error) {
    const isUnbegun = error instanceof WorkspaceError && error.isUnbegun;
    if (!(error instanceof UserError) || isUnbegun) throw error;
    const { message } = error;
    const question = `${sentence(message)} Then approve it again.`;
    return {
      outcome: error instanceof WorkspaceError && error.retryable
        ? {
          kind: "failed",
          error: message,
          retryable: true,
          atLast: asked(question, facts, outcome),
          ...spentOn(outcome),
        }
        : asking(question, facts, outcome),
    };
  }
}

async function merge(
  workspace: Workspace,
  outcome: Completed,
  options: ReviewOptions,
): Promise<Reviewed> {
  const { facts } = workspace;
  const { branch, base } = facts;
  const { task } = options;
  if (!await hasBase(workspace)) {
    const { into, commit } = await mergedElsewhere(workspace, task.id) ?? {};
    return {
      outcome: into === undefined || commit === undefined
        ? asking(noBase(facts, task), facts, outcome)
        : withMessage(outcome, `Merged into ${into} as ${short(commit)}`),
    };
  }
  const end = await mergeWorkspace(workspace, options);
  const ask = (why: string) =>
    asking(`Cannot merge ${branch} into ${base}: ${why}`, facts, outcome);
  switch (end.kind) {
    case "merged":
    case "up to date": {
      const message = `Merged into ${base} as ${short(end.commit)}`;
      return { outcome: withMessage(outcome, message) };
    }
    case "conflict": {
      const files = end.files.join(", ");
      return {
        because: `It is not done yet: ${branch} conflicts with ${base} in ` +
          `${files}. git says:\n${end.said}\n\n` +
          `Run ${await howToJoin(workspace)} in this folder. Resolve that so ` +
          "that both changes hold, commit it, and go on until all is well.",
        orElse: ask(
          `they conflict in ${files}. Answer what is to be done; or resolve ` +
            `that in ${workspace.path}, commit it, and approve it.`,
        ),
      };
    }
    case "unverified":
      return {
        because: `It is not done yet: joined with what ${base} has by now, ` +
          `the check of the work fails. What it printed:\n${end.output}\n\n` +
          `Run ${await howToJoin(workspace)} in this folder. Mend it, commit ` +
          "that, and go on until the check passes.",
        orElse: ask(
          `joined with what ${base} has by now, the check fails: ` +
            `${sentence(end.output)} Answer what is to be done; or mend ` +
            `${base}, or the work in ${workspace.path}, commit that, and ` +
            "approve it again.",
        ),
      };
    case "refused":
      if (!mayPass(end.why)) {
        return { outcome: ask(`${sentence(end.why)} Then approve it again.`) };
      }
      throw new WorkspaceError(
        `Cannot merge ${branch} into ${base}: ${end.why}`,
        { retryable: true },
      );
  }
}

async function request(
  workspace: Workspace,
  outcome: Completed,
  { task, stop }: ReviewOptions,
): Promise<Outcome> {
  const { result } = outcome;
  try {
    const address = await requestPull(workspace, { task, result, stop });
    return withMessage(outcome, `Pull request: ${address}`);
  } catch (error) {
    stop.throwIfAborted();
    const isForge = error instanceof ForgeError;
    if (!isForge && !(error instanceof GitError)) throw error;
    const { branch } = workspace.facts;
    const why = `Cannot open a pull request of ${branch}: ${error.message}`;
    const retryable = isForge ? !error.needsPerson : mayPass(error.message);
    throw new WorkspaceError(why, { retryable, cause: error });
  }
}

/** What git says of another repository may be otherwise in a while, but for this. */
const LASTS = /rejected|denied|authentication|could not read Username/i;

function mayPass(said: string): boolean {
  return /^git (fetch|push|ls-remote) failed/.test(said) && !LASTS.test(said);
}

function withMessage(outcome: Completed, more: string): Completed {
  const message = [outcome.message, more].filter((it) => it !== undefined)
    .join(". ");
  return { ...outcome, message };
}
