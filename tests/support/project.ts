/**
 * Where the project is, and how tests start its programs from any folder.
 *
 * @module
 */

import { v8Flags } from "../../tools/run_task.ts";
import { npmFlags } from "../../tools/std_source.ts";

/** The project's folder; ends with a slash. */
export const ROOT = decodeURIComponent(
  new URL("../../", import.meta.url).pathname,
);

/** Whether this process takes `@std` from npm; then so must what it starts. */
const isNpm = import.meta.resolve("@std/cli/parse-args").startsWith("file:");

/** The flags that take `@std` from where this process has it, in any folder. */
export function stdFlags(root: string = ROOT): string[] {
  return isNpm ? npmFlags.map((flag) => flag.replace("=", `=${root}`)) : [];
}

/** Options for {@linkcode denoArgs}. */
export interface DenoOptions {
  /** Flags of `deno run`, beside those that every program needs. */
  readonly flags?: readonly string[];
  /** @default {["-P"]} */
  readonly permissions?: readonly string[];
  /** The folder of another version of the project, with a slash at its end. */
  readonly root?: string;
}

/**
 * The words after `deno` that run one of the project's files, as `main.ts`; the
 * file's own words come after them.
 */
export function denoArgs(
  file: string,
  { flags = [], permissions = ["-P"], root = ROOT }: DenoOptions = {},
): string[] {
  return [
    // Absolute, because a program's working directory is a test's own folder.
    ...["run", "-q", "--no-prompt", `--config=${root}deno.json`],
    ...stdFlags(root),
    ...flags,
    ...permissions,
    root + file,
  ];
}

/** The words that start the program as its users do. */
export function commandOf(args: readonly string[], root?: string): string[] {
  return [
    Deno.execPath(),
    ...denoArgs("main.ts", { flags: [v8Flags], root }),
    ...args,
  ];
}

/** What a process needs to find Deno's cache; all else comes from the test. */
const KEPT_VARIABLES = [
  "PATH",
  "HOME",
  "DENO_DIR",
  "XDG_CACHE_HOME",
  // Where modules come from, for those who have a registry of their own.
  "JSR_URL",
  "NPM_CONFIG_REGISTRY",
];

/** What Deno needs of this process's environment. */
export function keptVariables(): Record<string, string> {
  return Object.fromEntries(KEPT_VARIABLES.flatMap((name) => {
    const value = Deno.env.get(name);
    return value ? [[name, value]] : [];
  }));
}
