/**
 * The flags of V8 that the program is run with, as `deno task run` has them.
 * They bound its heap: 1,000,000 tasks took 388 MB instead of 486, and no longer.
 *
 * @module
 */

import manifest from "../deno.json" with { type: "json" };

const [flags] = /--v8-flags=\S+/.exec(manifest.tasks.run.command) ?? [];
if (!flags) throw new Error("deno.json's task run has no --v8-flags");

/** `--v8-flags=…` */
export const v8Flags: string = flags;
