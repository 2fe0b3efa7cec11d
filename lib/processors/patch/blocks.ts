/**
 * Finds the patches in an instruction: its fenced blocks of `diff` or `patch`.
 *
 * @module
 */

import { RunError } from "../task_runs.ts";

/** A line that may begin a block, or end one. */
const FENCE = /^( {0,3})(`{3,}|~{3,})[ \t]*([^`]*)$/;
/** Nobody sees what is in a comment, and so nobody has looked at it. */
const COMMENT = /^ {0,3}<!--/;
/** What is a patch. */
const LANGUAGE = /^(diff|patch)\b/i;
/** A header whose path git would take for one in the repository. */
const ABSOLUTE =
  /^--- (?:"?\/(?!dev\/null\b).*\r?\n\+\+\+ |.*\r?\n\+\+\+ "?\/(?!dev\/null\b)).*$/m;

/**
 * All of them, one after the other, for `git apply`.
 *
 * @throws {RunError} where there is none, or what git would not refuse itself.
 */
export function patchIn(instruction: string): string {
  const patch = blocksIn(instruction).join("");
  if (patch === "") {
    throw refused(
      "the instruction has no fenced block of diff or patch. Write one: " +
        "```diff, the lines that git diff prints, and ```",
    );
  }
  const [absolute] = ABSOLUTE.exec(patch) ?? [];
  if (absolute === undefined) return patch;
  throw refused(`a path is not in the repository: ${absolute}`);
}

/** A second try can't help. */
export function refused(why: string): RunError {
  return new RunError(`Cannot apply the patch: ${why}`, { retryable: false });
}

function blocksIn(text: string): string[] {
  const blocks: string[] = [];
  let open: { indent: number; fence: string; lines?: string[] } | undefined;
  let isHidden = false;
  for (const line of text.split("\n")) {
    if (isHidden || (!open && COMMENT.test(line))) {
      isHidden = !line.includes("-->");
      continue;
    }
    const [, blanks = "", fence = "", info = ""] = FENCE.exec(line) ?? [];
    if (!open) {
      if (fence === "") continue;
      open = {
        indent: blanks.length,
        fence,
        ...LANGUAGE.test(info) && { lines: [] },
      };
    } else if (fence.startsWith(open.fence) && info.trim() === "") {
      if (open.lines?.length) blocks.push(blockOf(open.lines));
      open = undefined;
    } else {
      open.lines?.push(line.replace(new RegExp(`^ {0,${open.indent}}`), ""));
    }
  }
  if (open?.lines) {
    throw refused("its block is not ended: a line of ``` is missing");
  }
  return blocks;
}

/** Where all its lines end with CR, headers too, that is not of a file. */
function blockOf(lines: readonly string[]): string {
  const block = `${lines.join("\n")}\n`;
  return lines.every((it) => it === "" || it.endsWith("\r"))
    ? block.replaceAll("\r\n", "\n")
    : block;
}
