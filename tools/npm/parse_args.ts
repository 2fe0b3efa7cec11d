/** `@std/cli/parse-args` from npm, which comes without types. */
import { parseArgs as untyped } from "deno-std/cli/parse_args.js";

export interface ParseOptions {
  "--"?: boolean;
  alias?: Record<string, string | readonly string[]>;
  boolean?: boolean | string | readonly string[];
  collect?: string | readonly string[];
  default?: Record<string, unknown>;
  negatable?: string | readonly string[];
  stopEarly?: boolean;
  string?: string | readonly string[];
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

// deno-lint-ignore no-explicit-any
export type Args = Record<string, any> & { _: (string | number)[] };

export const parseArgs: (
  args: readonly string[],
  options?: ParseOptions,
) => Args = untyped;
