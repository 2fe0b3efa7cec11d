/**
 * What a program is given of its task: arguments, variables, standard input.
 *
 * @module
 */

import { resolve } from "node:path";
import { formatCount } from "../../base/figures.ts";
import type { AgentTask } from "../../task/task.ts";
import { answersOf, parseTrace, stringifyJson } from "../../task/trace.ts";
import type { ProcessorContext } from "../processor.ts";
import { MIN_SECRET_CHARACTERS, Secrets } from "../secrets.ts";
import { RunError, taskJson, type VariableLookup } from "../task_runs.ts";
import { type CommandConfig, fillPlaceholders } from "./config.ts";

/** What runs a `shell` script. */
export const SHELL = "/bin/sh";

/**
 * The longest argument and the longest variable, in bytes. Linux takes 128 KiB
 * with the name, Windows 32,767 characters for all together.
 */
const MAX_INPUT_BYTES = Deno.build.os === "windows" ? 16_000 : 100_000;

/** What every program gets of the runner's environment, where it is set. */
const PASSED_VARIABLES = [
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "SHELL",
  "LANG",
  "LC_ALL",
  "LC_CTYPE",
  "TZ",
  "TMPDIR",
  // Without these, few programs start on Windows.
  "SYSTEMROOT",
  "COMSPEC",
  "PATHEXT",
  "TEMP",
  "TMP",
  "USERPROFILE",
  "APPDATA",
  "LOCALAPPDATA",
];

/** A program to start. */
export interface Program {
  readonly path: string;
  readonly args: readonly string[];
}

/**
 * The program to start for a task. A path with a slash starts from `baseFolder`.
 *
 * @throws {RunError} for a text that can't be an argument.
 */
export function programOf(
  config: CommandConfig,
  task: AgentTask,
  baseFolder: string,
): Program {
  const { command, shell = "" } = config;
  if (!command) return { path: SHELL, args: ["-c", shell] };
  const [path = "", ...args] = commandFor(command, task, baseFolder);
  args.forEach((argument, index) => {
    const template = command[index + 1] ?? "";
    const isOption = argument.startsWith("-") &&
      mayBeOption(command, index + 1);
    const problem = isOption
      ? 'begins with "-", which would make it an option'
      : problemOf(argument);
    if (problem === undefined) return;
    throw new RunError(
      `Cannot run ${path}: the argument ${template} ${problem}. ` +
        `${isOption ? 'Put "--" directly before it, or let' : "Let"} the ` +
        "program read the task from its stdin.",
      { retryable: false },
    );
  });
  return { path: hasSlash(path) ? resolve(baseFolder, path) : path, args };
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
  baseFolder: string,
): string[] {
  const values = {
    id: task.id,
    instruction: task.instruction ?? "",
    target: task.targetRef ?? "",
    answers: answersText(task),
    configDir: baseFolder,
  };
  return command.map((it) => fillPlaceholders(it, (name) => values[name]));
}

function answersText({ traceText }: AgentTask): string {
  return answersOf(parseTrace(traceText) ?? {})
    .map(({ question, answer }) => `Question: ${question}\nAnswer: ${answer}`)
    .join("\n");
}

/** Says whether a program is given by its path, and not looked for on PATH. */
export function hasSlash(program: string): boolean {
  return program.includes("/") ||
    Deno.build.os === "windows" && program.includes("\\");
}

/** What keeps a text from being an argument or a variable. */
function problemOf(text: string): string | undefined {
  if (text.includes("\0")) return "has a NUL character";
  const { length } = new TextEncoder().encode(text);
  if (length <= MAX_INPUT_BYTES) return undefined;
  return `has ${formatCount(length)} bytes, more than ` +
    formatCount(MAX_INPUT_BYTES);
}

/** The environment of a program, and what was left out of it. */
export interface Environment {
  readonly env: Readonly<Record<string, string>>;
  /** A sentence each. */
  readonly omitted: readonly string[];
}

/** The name of a variable that may be missing: `NAME?`. */
function bare(name: string): string {
  return name.replace("?", "");
}

/** What a program gets, whatever its task is. */
export function passedVariables(
  { env, secrets, setEnv }: CommandConfig,
  variable: VariableLookup,
): Readonly<Record<string, string>> {
  const passed: Record<string, string> = {};
  for (const name of [...PASSED_VARIABLES, ...[...env, ...secrets].map(bare)]) {
    const value = variable(name);
    if (value !== undefined) passed[name] = value;
  }
  return { ...passed, ...setEnv };
}

/** The values that must not be shown, of the variables that a program gets. */
export function secretsOf(
  { secrets }: CommandConfig,
  variables: Readonly<Record<string, string>>,
): Secrets {
  return new Secrets(secrets.flatMap((name) => variables[bare(name)] || []));
}

/** What is wrong with the variables that a program gets, a sentence each. */
export function variableProblems(
  { env, secrets }: CommandConfig,
  variables: Readonly<Record<string, string>>,
): string[] {
  const missing = [...env, ...secrets].filter((name) =>
    !name.endsWith("?") && variables[name] === undefined
  );
  // They can't be found in a text.
  const tooShort = secrets.map(bare).filter((name) => {
    const value = variables[name] ?? "";
    return value !== "" && value.length < MIN_SECRET_CHARACTERS;
  });
  return [
    ...missing.map((name) =>
      `The variable ${name} is not set. Set it, or call it "${name}?" where ` +
      "it may be missing."
    ),
    ...tooShort.map((name) =>
      `The secret ${name} has less than ${MIN_SECRET_CHARACTERS} characters: ` +
      "it can't be told from other text."
    ),
  ];
}

/** The variables that tell of a task. */
export function taskVariables(
  task: AgentTask,
  { idempotencyKey, answers }: ProcessorContext,
): Environment {
  const all = {
    AGENT_TASK_ID: task.id,
    AGENT_TASK_PROVIDER: task.provider,
    AGENT_TASK_TARGET: task.targetRef ?? "",
    AGENT_TASK_ATTEMPT: String(task.attempt),
    AGENT_TASK_IDEMPOTENCY_KEY: idempotencyKey,
    AGENT_TASK_ANSWERS: stringifyJson([...answers]),
    AGENT_TASK_ANSWER: answers.at(-1)?.answer ?? "",
    AGENT_TASK_INSTRUCTION: task.instruction ?? "",
  };
  const env: Record<string, string> = {};
  const omitted: string[] = [];
  const names: string[] = [];
  for (const [name, value] of Object.entries(all)) {
    const problem = problemOf(value);
    if (problem === undefined) env[name] = value;
    else {
      names.push(name);
      omitted.push(`The variable ${name} was left out: it ${problem}`);
    }
  }
  if (names.length > 0) env.AGENT_TASK_OMITTED = names.join(" ");
  return { env, omitted };
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
