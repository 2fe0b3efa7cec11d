/**
 * What all output has in common: columns, colours, and JSON.
 *
 * @module
 */

import { unicodeWidth } from "@std/cli/unicode-width";
import { bold, dim, green, red, yellow } from "@std/fmt/colors";
import { printable } from "../base/log.ts";
import type { JsonValue, TaskState } from "../task/task.ts";
import { stringifyJson } from "../task/trace.ts";

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

/**
 * A line for each row of a name, a value, and what else there is. All but a row's
 * last cell line up; what stands last in short rows makes no room.
 */
export function factLines(rows: readonly (readonly string[])[]): string[] {
  const longest = Math.max(...rows.map(({ length }) => length));
  const widths = Array.from({ length: longest - 1 }, (_, column) =>
    Math.max(
      ...rows.filter(({ length }) => length > column + 1)
        .map((row) => unicodeWidth(row[column] ?? "")),
    ));
  return rows.map((row) => {
    const cells = row.map((cell, column) =>
      column === row.length - 1
        ? cell
        : cell + " ".repeat((widths[column] ?? 0) - unicodeWidth(cell))
    );
    return `  ${cells.join("  ")}`;
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

/** Colours a text. */
export type Paint = (text: string) => string;

const STATE_COLORS: Readonly<Record<TaskState, Paint>> = {
  created: dim,
  running: bold,
  needs_input: yellow,
  completed: green,
  failed: red,
};

/** What colours a task's state, where there are colours. */
export function paintOf(
  state: TaskState | undefined,
  { hasColor }: Pick<Screen, "hasColor">,
): Paint {
  // Another program may have made a state up.
  const paint: Paint | undefined = state && STATE_COLORS[state];
  return hasColor && paint ? paint : (text) => text;
}

const AGE_UNITS = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "m"],
] as const;

/** How long ago, in the largest unit: `45s`, `3m`, `2h`, `9d`. */
export function ageOf(time: Date, now: Date): string {
  const seconds = Math.max(0, (now.getTime() - time.getTime()) / 1_000);
  for (const [size, unit] of AGE_UNITS) {
    if (seconds >= size) return `${Math.floor(seconds / size)}${unit}`;
  }
  return `${Math.floor(seconds)}s`;
}

/**
 * A text as it is for a file, which gets every byte; made harmless for a terminal,
 * which must not be steered.
 */
export function printableOn({ width }: Screen, text: string): string {
  return width === undefined
    ? text
    : text.split("\n").map(printable).join("\n");
}

/** What JSON leaves as it is. */
const CONTROL_IN_JSON = /[\x7f-\x9f]/g;

/** The text of a JSON result; no text of a task in it can steer the terminal. */
export function renderJson(value: JsonValue, indent?: number): string {
  const text = stringifyJson(value, indent).replace(
    CONTROL_IN_JSON,
    (char) => `\\u00${char.charCodeAt(0).toString(16)}`,
  );
  return `${text}\n`;
}
