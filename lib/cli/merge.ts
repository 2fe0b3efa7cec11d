/**
 * `agent-runner merge`
 *
 * @module
 */

import { EXIT, UserError } from "../base/errors.ts";
import type { AgentTask, Approval } from "../task/task.ts";
import { shownStateOf } from "../task/shown_state.ts";
import { parseTrace } from "../task/trace.ts";
import { OUTPUT_KEY } from "../task/transitions.ts";
import {
  approvalOf,
  asksApproval,
  type TaskWorkspace,
  taskWorkspaceOf,
} from "../task/workspace.ts";
import { findTask, prefixOf } from "./choose.ts";
import {
  CLIENT_SETTINGS,
  type Command,
  type CommandContext,
  JSON_FLAG,
} from "./command.ts";
import type { MergeHere } from "./merge_here.ts";
import { already, type Merged, nothing, shown } from "./merge_text.ts";
import { renderJson } from "./render.ts";
import { untilStopped } from "./signals.ts";

/** Merges what a task has done. Exit code 1 where that can't be. */
export const merge: Command = {
  name: "merge",
  args: "ID",
  maxArgs: 1,
  summary: "Merge the branch of a task into its base, checked as it will be",
  flags: [
    {
      name: "into",
      placeholder: "BRANCH",
      summary: "Into this branch. Default: what it began at",
    },
    { name: "pr", summary: "Push it, and open a pull request instead" },
    JSON_FLAG,
  ],
  settings: CLIENT_SETTINGS,
  startsPrograms: true,
  examples: [
    "merge 550e8400",
    "merge 550e8400 --into next",
    "merge 550e8400 --pr",
  ],
  run: async (context) => {
    const { args, flags, terminal, openAdmin } = context;
    const prefix = prefixOf(args, "merge a branch without its task's id");
    // Let go of at once: a check may take long.
    const task = await (async () => {
      await using store = await openAdmin();
      return await findTask(store.admin, prefix);
    })();
    const done = await mergeTask(task, context);
    const { isRight, text, json } = done;
    if (flags.json) terminal.write(renderJson({ id: task.id, ...json }));
    else if (isRight) terminal.write(`${text}\n`);
    else throw cannotMerge(task, text);
    return isRight ? EXIT.ok : EXIT.failed;
  },
};

async function mergeTask(
  task: AgentTask,
  context: CommandContext,
): Promise<Merged> {
  const { flags, config } = context;
  const here = await import("./merge_here.ts");
  const facts = workspaceHere(task, context);
  const head = await here.tipOf(facts);
  const base = typeof flags.into === "string" ? flags.into : facts.base;
  const { branch, merged } = facts;
  if (
    merged !== undefined && facts.commits !== 0 && !flags.pr &&
    base === facts.base && (head === undefined || head === facts.head)
  ) {
    return already({ branch, base, commit: merged });
  }
  if (head === undefined) {
    throw cannotMerge(task, `there is no branch ${branch} any more.`);
  }
  if (task.state === "failed" && head !== facts.head) {
    throw cannotMerge(
      task,
      `it is failed, and ${branch} has other commits than those of its work ` +
        `that were checked: agent-runner diff ${shortId(task)}`,
    );
  }
  const asked = asksApproval(task);
  const { onApproved = "none" } = here.providerOf(task, config)?.workspace ??
    {};
  const isItsRuns = asked !== undefined && onApproved !== "none";
  if (isItsRuns && flags.into === undefined && !flags.pr) {
    const isMore = head !== asked.head;
    return await approve(task, context, { asked, facts, onApproved, isMore });
  }
  using stopping = untilStopped();
  const stop = stopping.signal;
  return await here.withWorkspace(
    task,
    { ...context, stop },
    async (opened) => {
      const { workspace, amendments } = opened;
      if (isItsRuns && (flags.pr || await here.hasBase(workspace))) {
        throw cannotMerge(
          task,
          `its provider has onApproved "${onApproved}", which is done when you ` +
            `approve it: agent-runner approve ${shortId(task)}`,
        );
      }
      const done = await mergeHere(task, opened, {
        base,
        isRequest: Boolean(flags.pr),
      });
      await using store = await context.openAdmin();
      for (const amendment of amendments) {
        const result = await store.admin.amend(task.id, amendment);
        if (result === "amended") continue;
        context.log.warning(`It is not noted with task ${task.id}: ${result}`, {
          event: "hint",
          task: task.id,
        });
      }
      if (!asked || !done.isRight) return done;
      await store.admin.approve([task.id], { head: asked.head });
      return { ...done, text: `${done.text}. The next run completes the task` };
    },
  );
}

/** What is not committed is said: it is not merged. */
async function mergeHere(
  task: AgentTask,
  { workspace, options }: Pick<MergeHere, "workspace" | "options">,
  { base, isRequest }: { readonly base: string; readonly isRequest: boolean },
): Promise<Merged> {
  const { count, howToJoin, leftOf, mergeWorkspace, namesOf } = await import(
    "./merge_here.ts"
  );
  // A person may have gone on there since its last run.
  const facts = await count(workspace);
  const { branch } = facts;
  workspace.note("workspace", branch, facts);
  const { path } = workspace;
  const left = namesOf(await leftOf(workspace));
  if (facts.commits === 0) return nothing({ branch, base, path, left });
  const done = isRequest
    ? await request(task, { workspace, options }, { base })
    : shown(await mergeWorkspace(workspace, { ...options, into: base }), {
      facts,
      base,
      id: shortId(task),
      join: await howToJoin(workspace, base),
    });
  return done.isRight && left !== ""
    ? {
      ...done,
      text: `${done.text}. Not committed, and left in ${path}: ${left}`,
    }
    : done;
}

/** @throws {UserError} where its branch is not here, or is not to be merged now. */
function workspaceHere(
  task: AgentTask,
  { clock }: CommandContext,
): TaskWorkspace {
  const { state, leaseExpiresAt, leaseOwner } = task;
  const trace = parseTrace(task.traceText) ?? {};
  const facts = taskWorkspaceOf(trace);
  if (!facts) {
    throw cannotMerge(
      task,
      state === "created"
        ? "it has not begun yet."
        : "it has no branch: its provider works on no repository.",
    );
  }
  if (leaseExpiresAt && leaseExpiresAt > clock.now()) {
    throw cannotMerge(
      task,
      `${leaseOwner} works on it just now. Wait for its end: agent-runner wait ` +
        shortId(task),
    );
  }
  if (facts.host !== Deno.hostname()) {
    throw cannotMerge(
      task,
      `its branch is on the machine ${facts.host}, in ${facts.path}. Do it there.`,
    );
  }
  const isDone = state === "completed" || asksApproval(task)?.of === "merge" ||
    state === "failed" && Number(facts.commits) > 0;
  if (isDone) return facts;
  const shown = shownStateOf(task);
  throw cannotMerge(
    task,
    shown !== "running" && approvalOf(trace)?.of === "merge"
      ? `it is ${shown}: its changes are approved, and its next run has them.`
      : `it is ${shown}, and its work is not done. See why: agent-runner show ` +
        shortId(task),
  );
}

/** Its next run does the rest. */
async function approve(
  task: AgentTask,
  { openAdmin }: CommandContext,
  { asked: { head }, facts: { branch, base }, onApproved, isMore }: {
    readonly asked: Pick<Approval, "head">;
    readonly facts: TaskWorkspace;
    readonly onApproved: "merge" | "pr";
    /** There are commits since that was asked. */
    readonly isMore: boolean;
  },
): Promise<Merged> {
  await using store = await openAdmin();
  const [result = "missing"] = await store.admin.approve([task.id], { head });
  if (result !== "approved") {
    throw cannotMerge(task, `somebody has just changed it (${result}).`);
  }
  const next = isMore
    ? `asks once more, for what was committed on ${branch} since`
    : onApproved === "merge"
    ? `merges ${branch} into ${base}`
    : `opens a pull request of ${branch} to ${base}`;
  return {
    isRight: true,
    json: { result: "approved", branch, base },
    text: `Task ${task.id} is approved: its next run ${next}`,
  };
}

async function request(
  task: AgentTask,
  { workspace, options }: Pick<MergeHere, "workspace" | "options">,
  { base }: { readonly base: string },
): Promise<Merged> {
  const { GitError, requestPull } = await import("./merge_here.ts");
  const { branch } = workspace.facts;
  const result = (parseTrace(task.traceText) ?? {})[OUTPUT_KEY] ?? undefined;
  try {
    const address = await requestPull(workspace, {
      ...options,
      result,
      into: base,
    });
    return {
      isRight: true,
      json: { result: "pull_request", branch, base, pull_request: address },
      text: `Pull request of ${branch} to ${base}: ${address}`,
    };
  } catch (error) {
    // What its program says is a UserError already.
    if (error instanceof GitError) throw cannotMerge(task, error.message);
    throw error;
  }
}

function shortId({ id }: AgentTask): string {
  return id.slice(0, 8);
}

function cannotMerge({ id }: AgentTask, why: string): UserError {
  return new UserError(`Cannot merge task ${id}: ${why}`);
}
