/**
 * `agent-runner approve`
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";
import { countOf } from "../base/figures.ts";
import type {
  Admin,
  ApproveResult,
  ChosenTask,
  TaskFilter,
} from "../store/contract.ts";
import type { AgentTask } from "../task/task.ts";
import { parseTrace } from "../task/trace.ts";
import {
  asksApproval,
  needsStart,
  taskWorkspaceOf,
} from "../task/workspace.ts";
import { APPROVED, sayWith } from "./asked.ts";
import { CLIENT_SETTINGS, type Command } from "./command.ts";
import { textFlag } from "./flags.ts";
import { type Came, type Step, stepFlags, stepIn } from "./step_in.ts";

const STEP = {
  verb: "approve",
  states: ["needs_input", "created"],
  // What has not asked yet is meant only where somebody says so.
  usualStates: ["needs_input"],
  find: findApprovable,
  all: "All that ask to be approved",
  counted: {
    approved: "approved",
    "not asked": "left alone: they do not ask for it",
    ended: "ended already",
    missing: "not there",
  } satisfies Record<ApproveResult, string>,
} satisfies Step;

/** Approves what tasks ask for. */
export const approve: Command = {
  name: "approve",
  args: "[ID…]",
  maxArgs: Infinity,
  summary:
    "Let tasks begin, or have their changes, that wait for your approval",
  flags: stepFlags(STEP, {
    name: "head",
    placeholder: "COMMIT",
    summary: "Only changes of which this is the last commit",
  }),
  settings: CLIENT_SETTINGS,
  examples: [
    "approve 550e8400",
    "approve 550e8400 --head 1b9d6bcd",
    "approve --batch night --yes",
  ],
  run: async (context) => {
    const { args, flags } = context;
    const seen = textFlag(flags, "head")?.toLowerCase();
    if (seen !== undefined && (args.length !== 1 || !COMMIT.test(seen))) {
      throw new UsageError(
        "Cannot approve changes by --head without one task's id and the start " +
          "of a commit. Give both: agent-runner approve ID --head 1b9d6bcd.",
      );
    }
    return await stepIn(context, {
      ...STEP,
      act: (admin, ids) =>
        args.length > 0
          ? approveShown(admin, ids, { seen })
          : approveAll(admin, ids),
    });
  },
};

const COMMIT = /^[0-9a-f]{4,64}$/;

async function approveAll(
  admin: Admin,
  ids: readonly string[],
): Promise<Came[]> {
  const results = await admin.approve(ids);
  return ids.map((id, index) => cameOf(id, { result: results[index] }));
}

/** Of each, what it asks for now: it may work on before it is approved. */
async function approveShown(
  admin: Admin,
  ids: readonly string[],
  { seen = "" }: { readonly seen?: string | undefined },
): Promise<Came[]> {
  const came: Came[] = [];
  for (const id of ids) {
    const task = await admin.get(id);
    const head = task && asksApproval(task)?.head;
    const isSeen = seen === "" || head?.startsWith(seen) === true;
    const [result] = isSeen
      ? await admin.approve([id], { head })
      : [task ? "not asked" as const : "missing" as const];
    came.push(cameOf(id, { result, task }));
  }
  return came;
}

const PAGE = 500;

/** Only their traces tell those that ask a question from those to be approved. */
async function findApprovable(
  admin: Admin,
  filter: TaskFilter,
): Promise<ChosenTask[]> {
  const found: ChosenTask[] = [];
  let after: string | undefined;
  for (;;) {
    const options = { ...filter, limit: PAGE, isWhole: true, after };
    const { tasks, next } = await admin.page(options);
    found.push(
      ...tasks.filter((it) =>
        asksApproval(it) || (it.state === "created" && needsStart(it))
      ).map(({ id, state }) => ({ id, state })),
    );
    if (next === undefined) return found.toReversed();
    after = next;
  }
}

/** @param options.task as it was before, where it is told of */
function cameOf(
  id: string,
  { result = "missing", task }: {
    readonly result: ApproveResult | undefined;
    readonly task?: AgentTask | undefined;
  },
): Came {
  const isRefused = result !== "approved";
  const text = isRefused ? whyNot(result, task) : approvedText(task);
  return { id, result, text, isRefused };
}

function approvedText(task: AgentTask | undefined): string {
  const asked = task && asksApproval(task);
  if (asked?.of !== "merge") return `may begin: ${APPROVED.start} is approved`;
  const { branch, commits } =
    taskWorkspaceOf(parseTrace(task?.traceText ?? null) ?? {}) ?? {};
  const parts = [
    branch,
    asked.head && `at ${asked.head.slice(0, 8)}`,
    commits && `with ${countOf(commits, "commit")}`,
  ].filter(Boolean);
  const what = parts.length > 0 ? ` (${parts.join(" ")})` : "";
  return `goes on: ${APPROVED.merge} are approved${what}`;
}

function whyNot(
  result: Exclude<ApproveResult, "approved">,
  task: AgentTask | undefined,
): string {
  switch (result) {
    case "ended":
      return `it ${task ? `is ${task.state}` : "has ended"} already.`;
    case "missing":
      return "it is not there any more.";
    case "not asked":
      break;
  }
  const asked = task && asksApproval(task);
  if (asked) {
    return asked.of === "start"
      ? "it asks for its start, of which there is no commit. Leave --head out."
      : "there are other changes by now. Look at them, and approve again: " +
        `agent-runner diff ${task.id.slice(0, 8)}`;
  }
  return task?.state === "needs_input"
    ? `it waits for an answer, not to be approved: ${sayWith(task)}`
    : `it ${task ? `is ${task.state} and ` : ""}does not ask to be approved. ` +
      "agent-runner list --state needs_input has those that wait.";
}
