/**
 * Columns of text for people.
 *
 * @module
 */

import { unicodeWidth } from "@std/cli/unicode-width";
import { printable } from "../base/log.ts";

/** Where text goes and what fits there. */
export interface Screen {
  /** Columns that a line may have; undefined for no limit. */
  readonly width: number | undefined;
  readonly hasColor: boolean;
}

/** Options for {@linkcode alignRows}. */
export interface AlignOptions extends Pick<Screen, "width"> {
  /** Columns that line up at their right, as numbers do; the first is 0. */
  readonly right?: readonly number[];
}

/**
 * A line for each row, its cells lined up and cut to what fits. No text in them
 * can break a line or steer the terminal.
 */
export function alignRows(
  rows: readonly (readonly string[])[],
  { width, right = [] }: AlignOptions,
): string[] {
  const cells = rows.map((row) =>
    row.map((cell) => printable(cell.replaceAll(/\s+/g, " ")))
  );
  const widths: number[] = [];
  for (const row of cells) {
    for (const [column, cell] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, unicodeWidth(cell));
    }
  }
  return cells.map((row) => {
    const padded = row.map((cell, column) => {
      const blanks = " ".repeat((widths[column] ?? 0) - unicodeWidth(cell));
      return right.includes(column) ? blanks + cell : cell + blanks;
    });
    return fit(padded.join("  ").trimEnd(), width);
  });
}

/** Cuts a text to the columns that it may have. */
export function fit(text: string, width: number | undefined): string {
  if (width === undefined || unicodeWidth(text) <= width) return text;
  let result = "";
  let used = 1;
  for (const char of text) {
    used += unicodeWidth(char);
    if (used > width) break;
    result += char;
  }
  return `${result.trimEnd()}…`;
}
