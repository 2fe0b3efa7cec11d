/**
 * Texts that come from elsewhere: how they are read, and their bounds.
 *
 * @module
 */

import { messageOf, UsageError } from "./errors.ts";

const ENDS_IN_HALF_A_CHARACTER = /[\ud800-\udbff]$/;

/**
 * The text itself where it has at most `max` characters, else its beginning and
 * how long it was; without half characters, which no store takes. Takes anything: a
 * processor may be anybody's JavaScript.
 */
export function cut(value: unknown, max: number): string {
  const text = (typeof value === "string" ? value : messageOf(value))
    .toWellFormed();
  if (text.length <= max) return text;
  return `${headOf(text, max)}… (cut: ${
    text.length.toLocaleString("en")
  } characters in all)`;
}

/** At most `max` characters of a text's beginning, without half a character. */
export function headOf(text: string, max: number): string {
  return text.slice(0, max).replace(ENDS_IN_HALF_A_CHARACTER, "");
}

/**
 * Reads bytes as UTF-8, with or without a byte order mark.
 *
 * @throws {UsageError} where they are something else.
 */
export function decodeText(bytes: Uint8Array, source: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new UsageError(`Cannot read ${source}: it is not UTF-8 text.`, {
      cause,
    });
  }
}
