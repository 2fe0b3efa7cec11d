/**
 * The line ends of a patch: on its way here they may have become others than those
 * of the files that it is for.
 *
 * @module
 */

/** `@@ -1,3 +1,4 @@`: how many lines of a file there were, and are to be. */
const HUNK = /^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@/;
/** Says that the line before it has no end. */
const NO_END = "\\";

interface Line {
  readonly text: string;
  /** Of a file, and so are its blanks. */
  readonly isContent: boolean;
}

/**
 * A patch in its parts, one for each file, with the other line ends (LF in place of
 * CRLF, or CRLF in place of LF) in those that do not fit the file as they are.
 */
export async function withOtherEnds(
  patch: string,
  fits: (part: string) => Promise<boolean>,
): Promise<string> {
  const parts: string[] = [];
  for (const lines of partsOf(patch)) {
    const part = textOf(lines);
    parts.push(await fits(part) ? part : textOf(turned(lines)));
  }
  return parts.join("");
}

function textOf(lines: readonly Line[]): string {
  return lines.map(({ text }) => `${text}\n`).join("");
}

function partsOf(patch: string): Line[][] {
  const parts: Line[][] = [];
  let [before, after] = [0, 0];
  let isHeader = false;
  for (const text of patch.replace(/\n$/, "").split("\n")) {
    const isContent = before > 0 || after > 0;
    if (isContent) {
      if (!text.startsWith("+") && !text.startsWith(NO_END)) before--;
      if (!text.startsWith("-") && !text.startsWith(NO_END)) after--;
    } else {
      const hunk = HUNK.exec(text);
      if (hunk) {
        [before, after] = [Number(hunk[1] ?? 1), Number(hunk[2] ?? 1)];
        isHeader = false;
      } else if (begins(text, isHeader)) {
        parts.push([]);
        isHeader = true;
      }
    }
    if (parts.length === 0) parts.push([]);
    parts.at(-1)!.push({ text, isContent });
  }
  return parts;
}

/** Whether that is a line of the next file. */
function begins(text: string, isHeader: boolean): boolean {
  return text.startsWith("diff ") || text.startsWith("--- ") && !isHeader;
}

/** Those of both kinds are left as they are: somebody has meant that. */
function turned(lines: readonly Line[]): readonly Line[] {
  const ended = lines.filter(({ text, isContent }, index) =>
    isContent && !text.startsWith(NO_END) &&
    !lines[index + 1]?.text.startsWith(NO_END)
  );
  const count = ended.filter(({ text }) => text.endsWith("\r")).length;
  if (count > 0 && count < ended.length) return lines;
  const others = new Set(ended);
  return lines.map((line) => {
    if (!others.has(line)) return line;
    const { text } = line;
    // A blank that was dropped from an empty line of context is put back.
    return { ...line, text: count ? text.slice(0, -1) : `${text || " "}\r` };
  });
}
