/**
 * The log of a run: what its work printed and said, line by line. It is kept apart
 * from its task, as texts of many lines: a line is `[ms, kind, text]` in JSON, where
 * `ms` counts from the first line of its text.
 *
 * @module
 */

/**
 * What a line of output can be: a program's, or what an agent says, does with a
 * tool, or its CLI tells of itself.
 */
export const OUTPUT_KINDS = [
  "stdout",
  "stderr",
  "text",
  "tool",
  "notice",
] as const;

/** One of {@linkcode OUTPUT_KINDS}. */
export type OutputKind = (typeof OUTPUT_KINDS)[number];

/** One line of a log. */
export interface LogLine {
  readonly at: Date;
  readonly kind: OutputKind;
  readonly text: string;
}

/** A line as it is kept, but for its time: nothing in it is refused by any store. */
export function untimedLine(kind: OutputKind, text: string): string {
  return JSON.stringify([kind, text.toWellFormed()]);
}

/** A line as it is kept, so many milliseconds after the first of its text. */
export function timedLine(untimed: string, ms: number): string {
  return `[${ms},${untimed.slice(1)}`;
}

/** The lines of a text that begins then; what is no line of ours is left out. */
export function linesOf(text: string, begin: Date): LogLine[] {
  return text.split("\n").flatMap((kept): LogLine[] => {
    const [ms, kind, line] = parsed(kept);
    const known = OUTPUT_KINDS.find((it) => it === kind);
    if (typeof ms !== "number" || !known || typeof line !== "string") return [];
    return [{ at: new Date(begin.getTime() + ms), kind: known, text: line }];
  });
}

function parsed(kept: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(kept);
    return Array.isArray(value) ? value : [];
  } catch {
    return []; // Another program wrote it.
  }
}
