/**
 * Processes that the benchmark starts: the program itself, and scripts of its own
 * that open the database, which this process never does.
 *
 * @module
 */

import { v8Flags } from "../../tools/run_task.ts";
import { denoArgs } from "../support/project.ts";

/** The command line of a script of this folder. */
export function scriptCommand(
  script: string,
  args: readonly string[],
): string[] {
  const options = { flags: [v8Flags], permissions: ["-A"] };
  return [
    Deno.execPath(),
    ...denoArgs(`tests/bench/${script}`, options),
    ...args,
  ];
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
export async function askScript<T>(
  script: string,
  args: readonly string[],
): Promise<T> {
  return JSON.parse(await outputOf(scriptCommand(script, args)));
}

/** The lines that a process writes, or is given. */
export async function* linesOf(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
