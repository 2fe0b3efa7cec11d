/**
 * `agent-runner completions`
 *
 * @module
 */

import { completionScript, SHELLS } from "../completion_scripts.ts";
import { EXIT, UsageError } from "../../base/errors.ts";
import type { CommandContext } from "../context.ts";

/** Prints the script for a shell. */
export function completions(
  { args, terminal }: CommandContext,
): Promise<number> {
  const [name] = args;
  const shell = SHELLS.find((it) => it === name);
  if (!shell) {
    throw new UsageError(
      (name === undefined
        ? "Cannot complete for no shell."
        : `Cannot complete for "${name}".`) +
        ` Name one of ${SHELLS.join(", ")}: agent-runner completions bash`,
    );
  }
  terminal.write(completionScript(shell));
  return Promise.resolve(EXIT.ok);
}
