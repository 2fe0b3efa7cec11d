/**
 * Which version of an agent's CLI is installed, and whether its stream is known.
 *
 * @module
 */

import { pathOf } from "../command/input.ts";
import { readText } from "../command/printed_text.ts";
import type { ProcessTree } from "../command/process_tree.ts";
import type { Programs } from "../command/programs.ts";
import type { AgentConfig } from "./config.ts";
import type { Dialect } from "./dialect.ts";

/** How long a CLI may take to say it: some load for seconds. */
const LIMIT_MS = 30_000;
/** Nobody says it later. */
const MAX_CHARACTERS = 10_000;
const VERSION = /\d+\.\d+\.\d+[\w.+-]*/;

/**
 * `claude 2.1.197`, with a word more where that is not a version that we know.
 * Undefined where the program doesn't tell.
 */
export async function versionOf(
  dialect: Pick<Dialect, "name" | "program" | "knownVersions">,
  config: Pick<AgentConfig, "program">,
  programs: Programs,
): Promise<string | undefined> {
  const { program = dialect.program } = config;
  const [version] = VERSION.exec(await saidBy(program, programs)) ?? [];
  if (version === undefined) return undefined;
  const { name, knownVersions } = dialect;
  return knownVersions.includes(version)
    ? `${name} ${version}`
    : `${name} ${version} (not tried; known: ${knownVersions.join(", ")})`;
}

/** What it prints; nothing where it can't be started. */
async function saidBy(program: string, programs: Programs): Promise<string> {
  const { baseFolder, clock } = programs.parts;
  let tree: ProcessTree;
  try {
    tree = programs.start(pathOf(program, baseFolder), {
      args: ["--version"],
      cwd: baseFolder,
      hasStdin: false,
    });
  } catch {
    return ""; // What is wrong with it, check() says.
  }
  const { stdout, stderr } = tree.child;
  const over = new AbortController();
  let text = "";
  const read = readText(stdout, over.signal, (piece) => {
    if (text.length < MAX_CHARACTERS) text += piece;
  });
  const ignored = readText(stderr, over.signal, () => {});
  try {
    await Promise.race([read, clock.sleep(LIMIT_MS, over.signal)]);
  } finally {
    over.abort();
    await tree.end(0);
    await Promise.all([read, ignored]);
  }
  return text;
}
