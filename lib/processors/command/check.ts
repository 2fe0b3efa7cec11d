/**
 * Tries what can be tried of a command without running it.
 *
 * @module
 */

import { delimiter, dirname, join, resolve } from "node:path";
import { gitProblem, workspaceWarnings } from "../../workspaces/check.ts";
import { folderError } from "../../workspaces/error.ts";
import { stateFolder } from "../../workspaces/state_folder.ts";
import type { VariableLookup } from "../task_runs.ts";
import {
  type CommandConfig,
  fillPlaceholders,
  type FolderConfig,
  type ProgramConfig,
} from "./config.ts";
import { folderProblem } from "./folder.ts";
import { hasSlash, mayBeOption, SHELL } from "./input.ts";
import { passedVariables, variableProblems } from "./variables.ts";

/** What a command is checked with. */
export interface CheckParts {
  readonly variable: VariableLookup;
  readonly baseFolder: string;
  /** Nothing is started for it. @default {false} */
  readonly isQuiet?: boolean | undefined;
}

/** What is wrong with a command, a sentence each. */
export async function checkCommand(
  config: CommandConfig,
  parts: CheckParts,
): Promise<readonly string[]> {
  const { command } = config;
  const program = command
    ? fillPlaceholders(command[0] ?? "", () => parts.baseFolder)
    : SHELL;
  return [
    ...await checkProgram(program, config, parts),
    ...unprotected(command ?? []),
  ];
}

/** What is wrong with a program and what it is run with, a sentence each. */
export async function checkProgram(
  program: string,
  config: ProgramConfig,
  { variable, baseFolder, isQuiet }: CheckParts,
): Promise<readonly string[]> {
  const { cwd, workspace } = config;
  const folder = typeof workspace === "object"
    ? workspace.folder ?? stateFolder(variable)
    : workspace;
  const passed = passedVariables(config, variable);
  const problems = [
    await programProblem(program, { path: passed.PATH ?? "", baseFolder }),
    cwd === undefined ? undefined : await cannotUse(resolve(baseFolder, cwd)),
    folder === undefined
      ? undefined
      : await writableProblem(await parentOf(resolve(baseFolder, folder))),
    typeof workspace === "object" && !isQuiet
      ? await gitProblem(baseFolder)
      : undefined,
    ...variableProblems(config, passed),
  ];
  return problems.filter((it) => it !== undefined);
}

/** What is wrong with a repository, a sentence each. Tasks may name another. */
export async function checkRepository(
  { workspace }: FolderConfig,
  { variable, baseFolder }: CheckParts,
): Promise<readonly string[]> {
  if (typeof workspace !== "object") return [];
  const folder = workspace.folder ?? stateFolder(variable);
  // Without git, there is a problem.
  return await gitProblem(baseFolder) === undefined
    ? await workspaceWarnings(workspace, { baseFolder, folder })
    : [];
}

/** Arguments for which a "--" was meant that does not count. */
function unprotected(command: readonly string[]): string[] {
  return command.filter((_, index) =>
    mayBeOption(command, index) && command.slice(0, index).includes("--")
  ).map((argument) =>
    `The "--" is not directly before ${argument}: a task that begins with "-" ` +
    "there is refused. Put one directly before it."
  );
}

/** What keeps a program from being started; undefined for nothing. */
export async function programProblem(
  program: string,
  { path, baseFolder }: { path: string; baseFolder: string },
): Promise<string | undefined> {
  const files = hasSlash(program)
    ? [resolve(baseFolder, program)]
    : path.split(delimiter).filter((folder) => folder !== "")
      .map((folder) => join(folder, program));
  let isFile = false;
  for (const file of files.flatMap(withEndings)) {
    try {
      const info = await Deno.stat(file);
      isFile ||= info.isFile;
      if (info.isFile && ((info.mode ?? 0o111) & 0o111) !== 0) return undefined;
    } catch {
      continue; // Not there, or below what may not be read.
    }
  }
  if (isFile) return `${program} is not executable. Run: chmod +x ${program}`;
  return hasSlash(program)
    ? `The program ${program} does not exist.`
    : `The program ${program} is not on PATH (${path || "which is empty"}).`;
}

/** On Windows the name of a program need not have its ending. */
function withEndings(file: string): string[] {
  return Deno.build.os === "windows"
    ? [file, `${file}.exe`, `${file}.cmd`, `${file}.bat`]
    : [file];
}

async function cannotUse(folder: string): Promise<string | undefined> {
  const problem = await folderProblem(folder);
  return problem && `The folder ${folder} can't be used: ${problem}`;
}

async function writableProblem(folder: string): Promise<string | undefined> {
  try {
    await Deno.stat(folder);
  } catch (error) {
    return `The folder ${folder} can't be used: ${folderError(error)}`;
  }
  const problem = await cannotUse(folder);
  if (problem) return problem;
  try {
    await Deno.remove(
      await Deno.makeTempFile({ dir: folder, prefix: ".agent-runner-check-" }),
    );
    return undefined;
  } catch (error) {
    return `The folder ${folder} is not writable: ${folderError(error)}`;
  }
}

/** The folder itself, or the nearest above it that exists. */
async function parentOf(folder: string): Promise<string> {
  const parent = dirname(folder);
  if (parent === folder) return folder;
  try {
    await Deno.stat(folder);
    return folder;
  } catch (error) {
    const isNone = error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory;
    // It is made with the first task.
    return isNone ? await parentOf(parent) : folder;
  }
}
