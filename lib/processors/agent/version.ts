/**
 * Which version of an agent's CLI is installed, and whether its stream is known.
 *
 * @module
 */

import { messageOf } from "../../base/errors.ts";
import { pathOf } from "../command/input.ts";
import { readText } from "../command/printed_text.ts";
import type { ProcessTree } from "../command/process_tree.ts";
import type { Programs } from "../command/programs.ts";
import type { ProgramVersion } from "../processor.ts";
import type { AgentConfig } from "./config.ts";
import type { Dialect } from "./dialect.ts";

/** How long a CLI may take to say it: some load for seconds. */
const LIMIT_MS = 30_000;
/** Nobody says it later. */
const MAX_CHARACTERS = 10_000;
const VERSION = /\d+\.\d+\.\d+[\w.+-]*/;

/** Asks an agent's CLI. */
export async function versionOf(
  dialect: Pick<Dialect, "name" | "program" | "knownVersions">,
  config: Pick<AgentConfig, "program">,
  programs: Programs,
): Promise<ProgramVersion> {
  const { program = dialect.program } = config;
  const { text, how } = await saidBy(program, programs);
  const [version] = VERSION.exec(text) ?? [];
  if (version === undefined) return { unknown: `${program} --version ${how}` };
  const { name, knownVersions } = dialect;
  const known = knownVersions.includes(version)
    ? ""
    : ` (not tried; known: ${knownVersions.join(", ")})`;
  return { version: `${name} ${version}${known}` };
}

interface Said {
  /** What it printed. */
  readonly text: string;
  /** How it ended: what to say where that is no version. */
  readonly how: string;
}

async function saidBy(program: string, programs: Programs): Promise<Said> {
  const { baseFolder, clock } = programs.parts;
  let tree: ProcessTree;
  try {
    tree = programs.start(pathOf(program, baseFolder), {
      args: ["--version"],
      cwd: baseFolder,
      hasStdin: false,
    });
  } catch (error) {
    return { text: "", how: `can't be started: ${messageOf(error)}` };
  }
  const { stdout, stderr, status } = tree.child;
  const over = new AbortController();
  let text = "";
  const read = readText(stdout, over.signal, (piece) => {
    if (text.length < MAX_CHARACTERS) text += piece;
  });
  const ignored = readText(stderr, over.signal, () => {});
  let ended: Deno.CommandStatus | undefined;
  try {
    ended = await Promise.race([
      read.then(() => status),
      clock.sleep(LIMIT_MS, over.signal).then(() => undefined),
    ]);
  } finally {
    over.abort();
    await tree.end(0);
    await Promise.all([read, ignored]);
  }
  return { text, how: howOf(ended) };
}

function howOf(ended: Deno.CommandStatus | undefined): string {
  if (!ended) {
    return `did not answer within ${LIMIT_MS / 1_000} s`;
  }
  const { code, signal } = ended;
  if (signal) return `was ended by ${signal}`;
  return code === 0 ? "printed none" : `ended with exit code ${code}`;
}
