/**
 * The variables that a program is given: of the runner's, of its configuration, of
 * its task.
 *
 * @module
 */

import type { AgentTask } from "../../task/task.ts";
import { stringifyJson } from "../../task/trace.ts";
import type { ProcessorContext } from "../processor.ts";
import { MIN_SECRET_CHARACTERS, Secrets } from "../secrets.ts";
import type { VariableLookup } from "../task_runs.ts";
import type { ProgramConfig } from "./config.ts";
import { argumentProblem } from "./input.ts";

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
  { env, secrets, setEnv }: ProgramConfig,
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
  { secrets }: ProgramConfig,
  variables: Readonly<Record<string, string>>,
): Secrets {
  return new Secrets(secrets.flatMap((name) => variables[bare(name)] || []));
}

/** What is wrong with the variables that a program gets, a sentence each. */
export function variableProblems(
  { env, secrets }: ProgramConfig,
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
    const problem = argumentProblem(value);
    if (problem === undefined) env[name] = value;
    else {
      names.push(name);
      omitted.push(`The variable ${name} was left out: it ${problem}`);
    }
  }
  if (names.length > 0) env.AGENT_TASK_OMITTED = names.join(" ");
  return { env, omitted };
}
