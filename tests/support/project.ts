/**
 * Where the project is, and how tests start its programs from any folder.
 *
 * @module
 */

import { npmFlags } from "../../tools/std_source.ts";

/** The project's folder; ends with a slash. */
export const ROOT = decodeURIComponent(
  new URL("../../", import.meta.url).pathname,
);

/** Whether this test run takes `@std` from npm; then so must what it starts. */
const isNpm = import.meta.resolve("@std/assert").startsWith("file:");

/** Absolute, because a program's working directory is a test's own folder. */
const stdFlags: readonly string[] = isNpm
  ? npmFlags.map((flag) => flag.replace("=", `=${ROOT}`))
  : [];

/** Options for {@linkcode denoArgs}. */
export interface DenoOptions {
  /** Flags of `deno run`, beside those that every program needs. */
  readonly flags?: readonly string[];
  /** @default {["-P"]} */
  readonly permissions?: readonly string[];
}

/**
 * The words after `deno` that run one of the project's files, as `main.ts`; the
 * file's own words come after them.
 */
export function denoArgs(
  file: string,
  { flags = [], permissions = ["-P"] }: DenoOptions = {},
): string[] {
  return [
    ...["run", "-q", "--no-prompt", `--config=${ROOT}deno.json`],
    ...stdFlags,
    ...flags,
    ...permissions,
    ROOT + file,
  ];
}
