/**
 * `agent-runner answer`
 *
 * @module
 */

import { countOf } from "../base/figures.ts";
import { EXIT, UsageError, UserError } from "../base/errors.ts";
import type { Admin, AnswerResult } from "../store/contract.ts";
import type { JsonObject } from "../task/task.ts";
import { asksApproval } from "../task/workspace.ts";
import {
  choiceOf,
  chooseTasks,
  type Deed,
  findTask,
  refusalOf,
  YES_FLAG,
} from "./choose.ts";
import {
  CLIENT_SETTINGS,
  type Command,
  type CommandContext,
  filterFlagsFor,
  JSON_FLAG,
} from "./command.ts";
import { hasFilterFlag, readWords } from "./flags.ts";
import { renderJson } from "./render.ts";

/** Answers the questions of tasks: the last argument is the answer. */
export const answer: Command = {
  name: "answer",
  args: "[ID…] ANSWER",
  maxArgs: Infinity,
  summary: "Answer tasks that wait for input, all the same (- for stdin)",
  flags: [
    ...filterFlagsFor(["needs_input"]),
    { name: "all", summary: "All that wait for input" },
    YES_FLAG,
    JSON_FLAG,
  ],
  settings: CLIENT_SETTINGS,
  examples: [
    'answer 550e8400 "The main branch"',
    "answer 550e8400 -",
    'answer --state needs_input --provider claude "Yes"',
  ],
  run: answerTasks,
};

const DEED: Deed = {
  verb: "answer",
  states: ["needs_input"],
  find: (admin, filter) => admin.cancellable(filter),
};

/** What the arguments say. */
interface Request {
  readonly prefixes: readonly string[];
  /** The text, or `-` for standard input. */
  readonly given: string;
}

/** Exit code 1 where one of the ids waits for no answer. */
async function answerTasks(context: CommandContext): Promise<number> {
  const { args, flags } = context;
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
  return prefixes.length === 1 && !hasFilter
    ? await answerOne(context, { prefixes, given })
    : await answerMany(context, { prefixes, given });
}

async function answerOne(
  { flags, terminal, openAdmin }: CommandContext,
  { prefixes: [prefix = ""], given }: Request,
): Promise<number> {
  const text = await readWords("answer", given, terminal);
  await using store = await openAdmin();
  const task = await findTask(store.admin, prefix);
  const { id, state } = task;
  const [result = "missing"] = await store.admin.answer([id], text);
  if (flags.json) {
    terminal.write(renderJson({ id, result }));
  } else if (result === "answered") {
    terminal.write(
      asksApproval(task)
        ? `Task ${id} is told your answer, and is not approved by it. It asks ` +
          `again; agent-runner approve ${id.slice(0, 8)} approves it.\n`
        : `Task ${id} goes on with your answer\n`,
    );
  } else {
    throw new UserError(`Cannot answer task ${id}: ${whyNot(result, state)}`);
  }
  return result === "answered" ? EXIT.ok : EXIT.failed;
}

/** An id, and what came of it. */
interface Answered {
  readonly id: string;
  readonly result: AnswerResult;
}

async function answerMany(
  context: CommandContext,
  { prefixes, given }: Request,
): Promise<number> {
  const { flags, terminal, openAdmin } = context;
  refuseWords(prefixes);
  const choice = choiceOf({ ...context, args: prefixes }, DEED);
  const text = await readWords("answer", given, terminal);
  await using store = await openAdmin();
  const { admin } = store;
  await refuseId(admin, given);
  const ids = await chooseTasks(context, admin, { choice, deed: DEED });
  const results = await admin.answer(ids, text);
  const tasks = ids.map((id, index): Answered => ({
    id,
    result: results[index] ?? "missing",
  }));
  const refused = tasks.filter(({ result }) => result !== "answered");
  // What was chosen by its state may have ended meanwhile; an id is one's word.
  const isDone = prefixes.length === 0 || refused.length === 0;
  if (flags.json) {
    terminal.write(renderJson(toJson(tasks)));
  } else {
    const answered = tasks.length - refused.length;
    if (answered > 0) {
      const go = answered === 1 ? "goes" : "go";
      terminal.write(
        `${countOf(answered, "task")} ${go} on with your answer\n`,
      );
    } else if (isDone) terminal.write("No such tasks.\n");
    if (!isDone) {
      throw refusalOf(
        "answer",
        refused.map(({ id, result }) => ({ id, why: whyNot(result) })),
      );
    }
  }
  return isDone ? EXIT.ok : EXIT.failed;
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

/** Where there are many, their states are not known. */
function whyNot(result: AnswerResult, state?: string): string {
  switch (result) {
    case "ended":
      return `it ${state ? `is ${state}` : "has ended"} already. ` +
        "Create a new task.";
    case "missing":
      return "it is not there any more.";
    default:
      return `it ${state ? `is ${state} and ` : ""}has asked nothing. ` +
        "agent-runner list --state needs_input has those that wait.";
  }
}

/** Every result with its count, those that did not occur too. */
function toJson(tasks: readonly Answered[]): JsonObject {
  const count = (name: AnswerResult) =>
    tasks.filter(({ result }) => result === name).length;
  return {
    answered: count("answered"),
    not_asked: count("not asked"),
    ended: count("ended"),
    missing: count("missing"),
    tasks: tasks.map(({ id, result }) => ({ id, result })),
  };
}
