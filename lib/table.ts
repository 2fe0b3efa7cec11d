/**
 * Columns of text for people.
 *
 * @module
 */

import { unicodeWidth } from "@std/cli/unicode-width";
import { printable } from "./log.ts";

/** Where text goes and what fits there. */
export interface Screen {
  /** Columns that a line may have; undefined for no limit. */
  readonly width: number | undefined;
  readonly hasColor: boolean;
}

/**
 * A line for each row, its cells lined up and cut to what fits. No text in them
 * can break a line or steer the terminal.
 */
export function alignRows(
  rows: readonly (readonly string[])[],
  { width }: Pick<Screen, "width">,
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
    const padded = row.map((cell, column) =>
      cell + " ".repeat((widths[column] ?? 0) - unicodeWidth(cell))
    );
    return fit(padded.join("  ").trimEnd(), width);
  });
}

function fit(text: string, width: number | undefined): string {
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
