/**
 * What a program is given of its task: arguments, standard input.
 *
 * @module
 */

import { resolve } from "node:path";
import { formatCount } from "../../base/figures.ts";
import { resultToJson } from "../../task/json.ts";
import type { AgentTask, Answer, TaskResult } from "../../task/task.ts";
import { answersOf, parseTrace, stringifyJson } from "../../task/trace.ts";
import type { ProcessorContext } from "../processor.ts";
import { RunError, taskJson } from "../task_runs.ts";
import { type CommandConfig, fillPlaceholders } from "./config.ts";

/** What runs a `shell` script. */
export const SHELL = "/bin/sh";

/**
 * The longest argument and the longest variable, in bytes. Linux takes 128 KiB
 * with the name, Windows 32,767 characters for all together.
 */
const MAX_INPUT_BYTES = Deno.build.os === "windows" ? 16_000 : 100_000;

/** How much of an argument is shown. */
const SHOWN_CHARACTERS = 60;

/** A program to start. */
export interface Program {
  readonly path: string;
  readonly args: readonly string[];
}

/** What a command is filled with, beside its task. */
export interface CommandInput {
  /** A path with a slash starts here. */
  readonly baseFolder: string;
  /** Undefined where they are not known yet. */
  readonly results?: readonly TaskResult[];
}

/**
 * The program to start for a task.
 *
 * @throws {RunError} for a text that can't be an argument.
 */
export function programOf(
  config: CommandConfig,
  task: AgentTask,
  input: CommandInput,
): Program {
  const { command, shell = "" } = config;
  if (!command) return { path: SHELL, args: ["-c", shell] };
  const [path = "", ...args] = commandFor(command, task, input);
  args.forEach((argument, index) => {
    const template = command[index + 1] ?? "";
    const isOption = argument.startsWith("-") &&
      mayBeOption(command, index + 1);
    const problem = isOption
      ? 'begins with "-", which would make it an option'
      : argumentProblem(argument);
    if (problem === undefined) return;
    const advice = template.includes("{results}")
      ? "Let the program read the file that $AGENT_RUNNER_RESULTS names."
      : `${isOption ? 'Put "--" directly before it, or let' : "Let"} the ` +
        "program read the task from its stdin.";
    throw new RunError(
      `Cannot run ${path}: the argument ${template} ${problem}. ${advice}`,
      { retryable: false },
    );
  });
  return { path: pathOf(path, input.baseFolder), args };
}

/** Where a program is looked for: a path starts from a folder, a name on PATH. */
export function pathOf(program: string, folder: string): string {
  return hasSlash(program) ? resolve(folder, program) : program;
}

/**
 * Whether an argument begins with what a task says, which must not become an option.
 * Of two programs in one command, a "--" further away may be the first one's.
 */
export function mayBeOption(
  command: readonly string[],
  index: number,
): boolean {
  return /^\{(instruction|target|answers)\}/.test(command[index] ?? "") &&
    command[index - 1] !== "--";
}

/** The command with the texts of a task in it. */
export function commandFor(
  command: readonly string[],
  task: AgentTask,
  { baseFolder, results }: CommandInput,
): string[] {
  const values = {
    id: task.id,
    instruction: task.instruction ?? "",
    target: task.targetRef ?? "",
    answers: answersText(answersOf(parseTrace(task.traceText) ?? {})),
    results: results ? resultsText(results) : "{results}",
    configDir: baseFolder,
  };
  return command.map((it) => fillPlaceholders(it, (name) => values[name]));
}

/** Questions with their answers, as lines. */
export function answersText(answers: readonly Answer[]): string {
  return answers
    .map(({ question, answer }) => `Question: ${question}\nAnswer: ${answer}`)
    .join("\n");
}

/** What came before a task, as JSON. */
export function resultsText(
  results: readonly TaskResult[],
  indent?: number,
): string {
  return stringifyJson(results.map(resultToJson), indent);
}

/** Says whether a program is given by its path, and not looked for on PATH. */
export function hasSlash(program: string): boolean {
  return program.includes("/") ||
    Deno.build.os === "windows" && program.includes("\\");
}

/** A program and its arguments, for people; what is long is cut. */
export function shownWords(words: readonly string[]): string {
  return words.map(shownWord).join(" ");
}

function shownWord(word: string): string {
  const shown = word.length > SHOWN_CHARACTERS
    ? `${word.slice(0, SHOWN_CHARACTERS)}…`
    : word;
  return /^[\w@%+=:,./{}-]+$/.test(shown) ? shown : JSON.stringify(shown);
}

/** The text with the folder of the configuration file in it. */
export function withConfigDir(text: string, baseFolder: string): string {
  return text.replaceAll("{configDir}", () => baseFolder);
}

/** What keeps a text from being an argument or a variable. */
export function argumentProblem(text: string): string | undefined {
  if (text.includes("\0")) return "has a NUL character";
  const { length } = new TextEncoder().encode(text);
  if (length <= MAX_INPUT_BYTES) return undefined;
  return `has ${formatCount(length)} bytes, more than ` +
    formatCount(MAX_INPUT_BYTES);
}

/** What a program reads; undefined where that is nothing. */
export function stdinOf(
  { stdin }: CommandConfig,
  task: AgentTask,
  context: ProcessorContext,
): string | undefined {
  switch (stdin) {
    case "none":
      return undefined;
    case "instruction":
      return task.instruction ?? "";
    case "task":
      return taskJson(task, context) + "\n";
  }
}
