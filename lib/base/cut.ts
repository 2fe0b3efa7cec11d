/**
 * Bounds for texts that come from elsewhere.
 *
 * @module
 */

import { messageOf } from "./errors.ts";

const ENDS_IN_HALF_A_CHARACTER = /[\ud800-\udbff]$/;

/**
 * The text itself where it has at most `max` characters, else its beginning and
 * how long it was. Takes anything: a processor may be anybody's JavaScript.
 */
export function cut(value: unknown, max: number): string {
  const text = typeof value === "string" ? value : messageOf(value);
  if (text.length <= max) return text;
  const head = text.slice(0, max).replace(ENDS_IN_HALF_A_CHARACTER, "");
  return `${head}… (cut: ${
    text.length.toLocaleString("en")
  } characters in all)`;
}
