/**
 * What the program is run with, as `deno task run` has it. Both bound its memory:
 * V8's flags the JavaScript heap, and the variable what glibc keeps for itself of
 * the memory that DuckDB gives back: a share for each thread that ever ran a
 * statement. 1,000,000 tasks took 98 MB more before the flags, and take some 30 MB
 * more without the variable. At 100,000 tasks, neither costs time.
 *
 * @module
 */

import manifest from "../deno.json" with { type: "json" };

const { command } = manifest.tasks.run;
const [, variables, flags] =
  /^((?:\w+=\S+ )+)deno run .*?(--v8-flags=\S+)/.exec(command) ?? [];
if (!variables || !flags) {
  throw new Error(
    "deno.json's task run begins otherwise: VARIABLE=value deno run --v8-flags=…",
  );
}

/** `--v8-flags=…` */
export const v8Flags: string = flags;

/** The variables of the environment. */
export const runEnv: Readonly<Record<string, string>> = Object.fromEntries(
  variables.trim().split(" ").map((variable) => variable.split("=")),
);
