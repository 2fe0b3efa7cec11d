/**
 * Texts of others, made fit for messages.
 *
 * @module
 */

import { cut } from "../base/cut.ts";
import { printable } from "../base/log.ts";

const MAX_CHARACTERS = 1_000;

/** A text in one line, that steers no terminal and is not too long. */
export function excerptOf(text: string): string {
  const line = text.trim().replaceAll(/\s+/g, " ").toWellFormed();
  return printable(cut(line, MAX_CHARACTERS));
}
