/**
 * `agent-runner approve`
 *
 * @module
 */

import { countOf } from "../base/figures.ts";
import { EXIT } from "../base/errors.ts";
import type {
  Admin,
  ApproveResult,
  ChosenTask,
  TaskFilter,
} from "../store/contract.ts";
import type { AgentTask, JsonObject } from "../task/task.ts";
import { asksApproval, needsStart } from "../task/workspace.ts";
import { APPROVED, sayWith } from "./asked.ts";
import {
  choiceOf,
  chooseTasks,
  type Deed,
  LISTED_TASKS,
  refusalOf,
  YES_FLAG,
} from "./choose.ts";
import {
  CLIENT_SETTINGS,
  type Command,
  filterFlagsFor,
  JSON_FLAG,
} from "./command.ts";
import { renderJson } from "./render.ts";

const DEED: Deed = {
  verb: "approve",
  states: ["needs_input", "created"],
  // What has not asked yet is meant only where somebody says so.
  usualStates: ["needs_input"],
  find: findApprovable,
};

/** Approves what tasks ask for. Exit code 1 where one of the ids asks for nothing. */
export const approve: Command = {
  name: "approve",
  args: "[ID…]",
  maxArgs: Infinity,
  summary:
    "Let tasks begin, or have their changes, that wait for your approval",
  flags: [
    ...filterFlagsFor(DEED.states),
    { name: "all", summary: "All that ask to be approved" },
    YES_FLAG,
    JSON_FLAG,
  ],
  settings: CLIENT_SETTINGS,
  examples: ["approve 550e8400", "approve --batch night --yes"],
  run: async (context) => {
    const { args, flags, terminal, openAdmin } = context;
    const choice = choiceOf(context, DEED);
    await using store = await openAdmin();
    const { admin } = store;
    const ids = await chooseTasks(context, admin, { choice, deed: DEED });
    const isListed = args.length > 0 && ids.length <= LISTED_TASKS;
    const before = isListed
      ? await Promise.all(ids.map((id) => admin.get(id)))
      : [];
    const results = await admin.approve(ids);
    const tasks = ids.map((id, index): Approved => ({
      id,
      result: results[index] ?? "missing",
      task: before[index],
    }));
    const refused = tasks.filter(({ result }) => result !== "approved");
    const done = tasks.filter(({ result }) => result === "approved");
    // What was chosen by its state may have ended meanwhile; an id is one's word.
    const isDone = args.length === 0 || refused.length === 0;
    if (flags.json) {
      terminal.write(renderJson(toJson(tasks, args.length === 1)));
      return isDone ? EXIT.ok : EXIT.failed;
    }
    terminal.write(isListed ? done.map(lineOf).join("") : summaryOf(done));
    if (!isDone) {
      throw refusalOf(
        "approve",
        refused.map(({ id, result, task }) => ({
          id,
          why: whyNot(result, task),
        })),
      );
    }
    return EXIT.ok;
  },
};

/** An id, and what came of it. */
interface Approved {
  readonly id: string;
  readonly result: ApproveResult;
  /** As it was before, where it is told of. */
  readonly task: AgentTask | undefined;
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

function lineOf({ id, task }: Approved): string {
  const asked = task && asksApproval(task);
  return `Task ${id} ${asked?.of === "merge" ? "goes on" : "may begin"}: ${
    APPROVED[asked?.of ?? "start"]
  } ${asked?.of === "merge" ? "are" : "is"} approved\n`;
}

function summaryOf(done: readonly Approved[]): string {
  return done.length === 0
    ? "No such tasks.\n"
    : `Approved ${countOf(done.length, "task")}\n`;
}

/** Where there are many, how they were is not known. */
function whyNot(result: ApproveResult, task: AgentTask | undefined): string {
  switch (result) {
    case "ended":
      return `it ${task ? `is ${task.state}` : "has ended"} already.`;
    case "missing":
      return "it is not there any more.";
    default:
      return task?.state === "needs_input"
        ? `it waits for an answer, not to be approved: ${sayWith(task)}`
        : `it ${
          task ? `is ${task.state} and ` : ""
        }does not ask to be approved. ` +
          "agent-runner list --state needs_input has those that wait.";
  }
}

function toJson(tasks: readonly Approved[], isOne: boolean): JsonObject {
  const [first] = tasks;
  if (isOne && first) return { id: first.id, result: first.result };
  const count = (name: ApproveResult) =>
    tasks.filter(({ result }) => result === name).length;
  return {
    approved: count("approved"),
    not_asked: count("not asked"),
    ended: count("ended"),
    missing: count("missing"),
    tasks: tasks.map(({ id, result }) => ({ id, result })),
  };
}
