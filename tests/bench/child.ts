/**
 * Processes that the benchmark starts: the program itself, and helpers of its
 * own that open the database, which this process never does.
 *
 * @module
 */

import { npmFlags } from "../../tools/std_source.ts";
import { v8Flags } from "../../tools/run_task.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const HERE = new URL("./", import.meta.url).pathname;

/** Whether this run takes `@std` from npm; then so must the children. */
const isNpm = import.meta.resolve("@std/cli/parse-args").startsWith("file:");

const DENO_RUN = [
  Deno.execPath(),
  "run",
  "-q",
  "--no-prompt",
  v8Flags,
  `--config=${ROOT}deno.json`,
  // Absolute, because a child's working directory is the temporary folder.
  ...(isNpm ? npmFlags.map((flag) => flag.replace("=", `=${ROOT}`)) : []),
];

/** The command line of the program, as its users start it. */
export function programCommand(args: readonly string[]): string[] {
  return [...DENO_RUN, "-P", `${ROOT}main.ts`, ...args];
}

/** The command line of a script of this folder. */
export function helperCommand(
  script: string,
  args: readonly string[],
): string[] {
  return [...DENO_RUN, "-A", `${HERE}${script}`, ...args];
}

/** Runs a command to its end and returns what it prints. */
export async function outputOf(
  [program = "", ...args]: readonly string[],
  options: Omit<Deno.CommandOptions, "args" | "stdout" | "stderr"> = {},
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    ...options,
    args,
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  if (success) return decoder.decode(stdout);
  throw new Error(
    `${program} ${args.join(" ")} failed: ${decoder.decode(stderr)}`,
  );
}

/** Runs a script of this folder to its end and parses what it prints. */
export async function askHelper<T>(
  script: string,
  args: readonly string[],
): Promise<T> {
  return JSON.parse(await outputOf(helperCommand(script, args)));
}
