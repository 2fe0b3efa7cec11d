/**
 * What a program prints: read as lines, and kept within bounds.
 *
 * @module
 */

import type { Secrets } from "../secrets.ts";

/**
 * A longer line comes in parts. A message may carry a result of 1 MiB, so this
 * is a little more.
 */
export const MAX_LINE_CHARACTERS = 1_100_000;

/** Options for {@linkcode readLines}. */
export interface ReadLinesOptions {
  readonly secrets: Secrets;
  /** Stops reading, though the stream has not ended. */
  readonly stop: AbortSignal;
  /** Takes each line without its end; `goesOn` for a part that others follow. */
  readonly onLine: (line: string, goesOn: boolean) => void;
}

/**
 * Reads a stream to its end. What is no UTF-8 is replaced by U+FFFD, and secrets
 * by `***`.
 */
export async function readLines(
  stream: ReadableStream<Uint8Array>,
  { secrets, stop, onLine }: ReadLinesOptions,
): Promise<void> {
  const reader = stream.getReader();
  const cancel = () => reader.cancel();
  stop.addEventListener("abort", cancel);
  const decoder = new TextDecoder();
  const shown = secrets.stream();
  let rest = "";
  const push = (text: string) => {
    let start = 0;
    let end = text.indexOf("\n");
    while (end >= 0) {
      const line = rest + text.slice(start, end);
      rest = "";
      onLine(line.endsWith("\r") ? line.slice(0, -1) : line, false);
      start = end + 1;
      end = text.indexOf("\n", start);
    }
    rest += text.slice(start);
    if (rest.length >= MAX_LINE_CHARACTERS) {
      onLine(rest, true);
      rest = "";
    }
  };
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    push(shown.push(decoder.decode(value, { stream: true })));
  }
  stop.removeEventListener("abort", cancel);
  push(shown.push(decoder.decode()) + shown.end());
  if (rest !== "") onLine(rest, false);
}

/** Keeps the beginning and the end of a text, and says what is left out. */
export class Excerpt {
  readonly #half: number;
  #head = "";
  #tail = "";
  #length = 0;

  /** @param limit how much is kept, in characters */
  constructor(limit: number) {
    this.#half = Math.floor(limit / 2);
  }

  add(text: string): void {
    this.#length += text.length;
    const room = this.#half - this.#head.length;
    if (room > 0) this.#head += text.slice(0, room);
    if (text.length <= room) return;
    this.#tail += room > 0 ? text.slice(room) : text;
    // Not at every line: that would copy the tail for each.
    if (this.#tail.length > 4 * this.#half) this.#trim();
  }

  /** The text without the blanks at its end. */
  toString(): string {
    this.#trim();
    const cut = this.#length - this.#head.length - this.#tail.length;
    const middle = cut === 0
      ? ""
      : `\n… (cut: ${cut.toLocaleString("en")} characters left out) …\n`;
    return (this.#head + middle + this.#tail).toWellFormed().trimEnd();
  }

  #trim(): void {
    this.#tail = this.#tail.slice(-this.#half);
  }
}
