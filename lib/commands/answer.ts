/**
 * `agent-runner answer`
 *
 * @module
 */

import { EXIT, UsageError, UserError } from "../errors.ts";
import { renderJson } from "../render.ts";
import type { AnswerResult } from "../store.ts";
import { MAX_ANSWER_CHARACTERS } from "../task.ts";
import type { CommandContext } from "./context.ts";
import { findTask } from "./find_task.ts";

/** Answers the question of a task that waits for it. */
export async function answer(context: CommandContext): Promise<number> {
  const { args, flags, clock, terminal, openDesk } = context;
  const [prefix] = args;
  if (prefix === undefined) {
    throw new UsageError(
      "Cannot answer without a task's id. " +
        "agent-runner list --state needs_input has those that wait.",
    );
  }
  const text = await readAnswer(context);
  await using store = await openDesk();
  const { id, state } = await findTask(store, prefix);
  const result = await store.answer(id, text, clock.now());
  if (flags.json) {
    terminal.write(renderJson({ id, result }));
  } else if (result === "answered") {
    terminal.write(`Task ${id} goes on with your answer\n`);
  } else {
    throw new UserError(`Cannot answer task ${id}: ${whyNot(result, state)}`);
  }
  return result === "answered" ? EXIT.ok : EXIT.failed;
}

async function readAnswer(
  { args, terminal }: CommandContext,
): Promise<string> {
  const [, given] = args;
  if (given === undefined) {
    throw new UsageError(
      "Cannot answer without an answer. " +
        'Give it: agent-runner answer ID "Yes", or - to read it from ' +
        "standard input.",
    );
  }
  const text = given === "-" ? (await terminal.readInput()).trimEnd() : given;
  if (text.trim() === "") {
    throw new UsageError(
      "Cannot answer: the answer is empty. Say something.",
    );
  }
  if (text.length <= MAX_ANSWER_CHARACTERS) return text;
  throw new UsageError(
    `Cannot answer: the answer has ${text.length} characters, more than ` +
      `${MAX_ANSWER_CHARACTERS}. Give the path of a file instead.`,
  );
}

function whyNot(result: AnswerResult, state: string): string {
  switch (result) {
    case "ended":
      return `it is ${state} already. Create a new task.`;
    case "missing":
      return "it is not there any more.";
    default:
      return `it is ${state} and has asked nothing. ` +
        "agent-runner list --state needs_input has those that wait.";
  }
}
