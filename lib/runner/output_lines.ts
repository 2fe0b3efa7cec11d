/**
 * What a run prints, as lines that can be kept and shown.
 *
 * @module
 */

import { stripAnsiCode } from "@std/fmt/colors";
import { cut } from "../base/cut.ts";

/** The longest line of a run's output that is shown whole, */
const MAX_LINE_CHARACTERS = 10_000;
/** and as much of one that is many. */
const MAX_CHARACTERS = 1_000_000;

/** What a run prints, line by line and without its colours. */
export function outputLines(line: unknown): string[] {
  return stripAnsiCode(cut(line, MAX_CHARACTERS)).split(/\r?\n/)
    .map((text: string) => cut(text, MAX_LINE_CHARACTERS));
}
