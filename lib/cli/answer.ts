/**
 * `agent-runner answer`
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";
import type { Admin, AnswerResult } from "../store/contract.ts";
import type { AgentTask } from "../task/task.ts";
import { asksApproval } from "../task/workspace.ts";
import {
  CLIENT_SETTINGS,
  type Command,
  type CommandContext,
} from "./command.ts";
import { hasFilterFlag, readWords } from "./flags.ts";
import { type Step, stepFlags, stepIn } from "./step_in.ts";

const STEP = {
  verb: "answer",
  states: ["needs_input"],
  find: (admin, filter) => admin.cancellable(filter),
  all: "All that wait for input",
  counted: {
    answered: "answered",
    "not asked": "left alone: they ask nothing",
    ended: "ended already",
    missing: "not there",
  } satisfies Record<AnswerResult, string>,
} satisfies Step;

/** Answers the questions of tasks: the last argument is the answer. */
export const answer: Command = {
  name: "answer",
  args: "[ID…] ANSWER",
  maxArgs: Infinity,
  summary: "Answer tasks that wait for input, all the same (- for stdin)",
  flags: stepFlags(STEP),
  settings: CLIENT_SETTINGS,
  examples: [
    'answer 550e8400 "The main branch"',
    "answer 550e8400 -",
    'answer --state needs_input --provider claude "Yes"',
  ],
  run: answerTasks,
};

async function answerTasks(context: CommandContext): Promise<number> {
  const { args, flags, terminal } = context;
  const hasFilter = Boolean(flags.all) || hasFilterFlag(flags);
  if (args.length === 0 && !hasFilter) {
    throw new UsageError(
      "Cannot answer without a task's id. " +
        "agent-runner list --state needs_input has those that wait.",
    );
  }
  const prefixes = args.slice(0, -1);
  const given = args.at(-1);
  if (given === undefined || (prefixes.length === 0 && !hasFilter)) {
    throw new UsageError(
      "Cannot answer without an answer. " +
        'Give it: agent-runner answer ID "Yes", or - to read it from ' +
        "standard input.",
    );
  }
  const isOne = prefixes.length === 1 && !hasFilter;
  if (!isOne) refuseWords(prefixes);
  const text = await readWords("answer", given, terminal);
  return await stepIn({ ...context, args: prefixes }, {
    ...STEP,
    act: async (admin, ids) => {
      if (!isOne) await refuseId(admin, given);
      // Of many that were chosen by their state, none is told of by itself.
      const before = prefixes.length > 0
        ? await Promise.all(ids.map((id) => admin.get(id)))
        : [];
      const results = await admin.answer(ids, text);
      return ids.map((id, index) => {
        const result = results[index] ?? "missing";
        return {
          ...{ id, result, isRefused: result !== "answered" },
          text: textOf(result, before[index]),
        };
      });
    },
  });
}

/** As much of an id as `list` shows, or more. */
const SHOWN_ID = /^[0-9a-f]{8}(-[0-9a-f-]{0,27})?$/i;

/** The words of an answer without quotes must not be taken for short ids. */
function refuseWords(prefixes: readonly string[]): void {
  const word = prefixes.find((prefix) => !SHOWN_ID.test(prefix));
  if (word === undefined) return;
  throw new UsageError(
    `Cannot answer: "${word}" is no id. Of each of many ids give 8 characters ` +
      "at least; put an answer of several words in quotes: " +
      'agent-runner answer ID "The main branch".',
  );
}

/** Who lists ids may forget the answer: the last of them is none. */
async function refuseId(admin: Admin, given: string): Promise<void> {
  if (!SHOWN_ID.test(given)) return;
  const [task] = await admin.find(given, 1);
  if (!task) return;
  throw new UsageError(
    `Cannot answer with "${given}": it is the id of a task. Give the answer ` +
      "after the ids. If that is the answer, give - and write it to standard " +
      "input.",
  );
}

function textOf(result: AnswerResult, task: AgentTask | undefined): string {
  const state = task?.state;
  switch (result) {
    case "answered":
      return task && asksApproval(task)
        ? "is told your answer, and is not approved by it. It asks again; " +
          `agent-runner approve ${task.id.slice(0, 8)} approves it.`
        : "goes on with your answer";
    case "ended":
      return `it ${state ? `is ${state}` : "has ended"} already. ` +
        "Create a new task.";
    case "missing":
      return "it is not there any more.";
    case "not asked":
      return `it ${state ? `is ${state} and ` : ""}has asked nothing. ` +
        "agent-runner list --state needs_input has those that wait.";
  }
}
