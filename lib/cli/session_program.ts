/**
 * The CLI of a task's agent, as a person starts it in the task's session.
 *
 * @module
 */

import { dirname, resolve } from "node:path";
import { messageOf, UserError } from "../base/errors.ts";
import type { Config } from "../config/config.ts";
import type { Dialect } from "../processors/agent/dialect.ts";
import { DIALECTS } from "../processors/agent/dialects.ts";
import { loadDialect } from "../processors/agent/load_dialect.ts";
import { usableSession } from "../processors/agent/sessions.ts";
import { programProblem } from "../processors/command/check.ts";
import { folderProblem } from "../processors/command/folder.ts";
import { pathOf } from "../processors/command/input.ts";
import type { AgentTask } from "../task/task.ts";
import { parseTrace } from "../task/trace.ts";
import { leaveSignals } from "./signals.ts";

/** A program to be started in a folder, with variables beside the user's own. */
export interface OpenProgram {
  readonly path: string;
  readonly args: readonly string[];
  readonly folder: string;
  readonly variables: Readonly<Record<string, string>>;
}

/** @throws {UserError} where it has no session, or one of somebody unknown. */
export async function programOf(
  task: AgentTask,
  { providers, configPath = "" }: Config,
): Promise<OpenProgram> {
  const session = usableSession(parseTrace(task.traceText) ?? {});
  if (!session) {
    throw cannotOpen(
      task,
      "it has no session. A task of an agent has one when it was begun.",
    );
  }
  const { agent, id, folder } = session;
  const baseFolder = resolve(dirname(configPath));
  const { options } = providers?.get(task.provider) ?? providers?.get("*") ??
    {};
  const provider = options?.processor === "agent" ? options : undefined;
  const own = provider && await loadDialect(provider.agent, baseFolder);
  // Another provider may have had the task before.
  const isOwn = own?.name === agent;
  const dialect = isOwn
    ? own
    : new Map<string, Dialect>(Object.entries(DIALECTS)).get(agent);
  if (!dialect) {
    throw cannotOpen(
      task,
      `its session is one of ${agent}, which is not known here. Give its ` +
        "provider that agent in the configuration file.",
    );
  }
  const { program = dialect.program, setEnv = {} } = isOwn && provider || {};
  return {
    path: pathOf(program, baseFolder),
    args: dialect.openArgs(id),
    folder,
    variables: setEnv,
  };
}

/** @throws {UserError} where it can't be started. */
export async function assertUsable(
  task: AgentTask,
  program: OpenProgram,
  { isHere }: { readonly isHere: boolean },
): Promise<void> {
  const { path, folder, variables } = program;
  const problem = await folderProblem(folder);
  if (problem !== undefined) {
    throw cannotOpen(
      task,
      isHere
        ? `its folder ${folder} can't be used: ${problem}`
        : `its folder ${folder} is not on this machine. On the service's: ` +
          shellLine(program),
    );
  }
  const missing = await programProblem(path, {
    path: variables.PATH ?? Deno.env.get("PATH") ?? "",
    baseFolder: folder,
  });
  if (missing !== undefined) throw cannotOpen(task, missing);
}

/**
 * Gives the terminal to the program, and waits for its end.
 *
 * @returns its exit code
 */
export async function start(
  task: AgentTask,
  { path, args, folder, variables }: OpenProgram,
): Promise<number> {
  const leaveTo = leaveSignals();
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(path, {
      args: [...args],
      cwd: folder,
      env: { ...variables },
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
  } catch (error) {
    throw cannotOpen(task, `${path} can't be started: ${messageOf(error)}`);
  }
  leaveTo(child);
  return (await child.status).code;
}

/** The same, to be typed into a shell. */
export function shellLine(
  { path, args, folder, variables }: OpenProgram,
): string {
  const given = Object.entries(variables)
    .map(([name, value]) => `${name}=${shellWord(value)}`);
  return [
    "cd",
    shellWord(folder),
    "&&",
    ...given,
    ...[path, ...args].map(shellWord),
  ]
    .join(" ");
}

function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word)
    ? word
    : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Says why a task can't be opened. */
export function cannotOpen({ id }: AgentTask, why: string): UserError {
  return new UserError(`Cannot open task ${id}: ${why}`);
}
