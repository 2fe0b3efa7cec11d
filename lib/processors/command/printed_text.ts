/**
 * What a program prints, as text: read to its end, line by line, without secrets.
 *
 * @module
 */

import { formatCount } from "../../base/figures.ts";
import type { Secrets } from "../secrets.ts";

/** How much of its output a failure quotes, in characters. */
const MAX_QUOTED_CHARACTERS = 2_000;

/**
 * A longer line comes in parts. A message may carry a result of 1 MiB, so this
 * is a little more.
 */
const MAX_LINE_CHARACTERS = 1_100_000;

/** Takes a line; its end is empty for a part, or at the end of the text. */
type TakeLine = (line: string, end: "\n" | "") => void;

/** What lines are read with. */
export interface ReadLinesOptions {
  /** Stops reading, though the stream has not ended. */
  readonly stop: AbortSignal;
  readonly secrets: Secrets;
  /** Takes each line that is no message, without secrets. */
  readonly show: TakeLine;
  /** Takes messages. Default: there are none. */
  readonly messages?: {
    /** Does what a line says. Returns what may be shown of it, if it is one. */
    readonly take: (line: string) => string | undefined;
    readonly show: (message: string) => void;
  };
}

/**
 * Reads a stream to its end. What is no UTF-8 is replaced by U+FFFD, and secrets
 * by `***`: after its lines were understood, for a secret may be a word of them.
 */
export async function readLines(
  stream: ReadableStream<Uint8Array>,
  { stop, secrets, show, messages }: ReadLinesOptions,
): Promise<void> {
  const shown = new Lines((line, end) =>
    show(line.endsWith("\r") ? line.slice(0, -1) : line, end)
  );
  const masked = secrets.stream();
  let unmasked = "";
  const showNew = () => {
    shown.push(masked.push(unmasked));
    unmasked = "";
  };
  const showAll = () => {
    showNew();
    shown.push(masked.end());
    shown.end();
  };
  const read = new Lines((line, end) => {
    const message = messages?.take(line);
    if (message === undefined) unmasked += line + end;
    else {
      showAll();
      messages?.show(message);
    }
  });
  await readText(stream, stop, (text) => {
    read.push(text);
    showNew();
  });
  read.end();
  showAll();
}

/** Reads a stream until it ends, or `stop` aborts. */
export async function readText(
  stream: ReadableStream<Uint8Array>,
  stop: AbortSignal,
  onText: (text: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  const cancel = () => reader.cancel();
  stop.addEventListener("abort", cancel);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    onText(decoder.decode(value, { stream: true }));
  }
  stop.removeEventListener("abort", cancel);
  onText(decoder.decode());
}

/** Makes lines of a text in pieces. */
export class Lines {
  readonly #onLine: TakeLine;
  readonly #max: number;
  #rest = "";

  /** @param max the longest line that does not come in parts, in characters */
  constructor(onLine: TakeLine, max = MAX_LINE_CHARACTERS) {
    this.#onLine = onLine;
    this.#max = max;
  }

  push(text: string): void {
    let start = 0;
    let end = text.indexOf("\n");
    while (end >= 0) {
      const line = this.#rest + text.slice(start, end);
      this.#rest = "";
      this.#onLine(line, "\n");
      start = end + 1;
      end = text.indexOf("\n", start);
    }
    this.#rest += text.slice(start);
    if (this.#rest.length >= this.#max) this.end();
  }

  end(): void {
    if (this.#rest !== "") this.#onLine(this.#rest, "");
    this.#rest = "";
  }
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
      : `\n… (cut: ${formatCount(cut)} characters left out) …\n`;
    return (this.#head + middle + this.#tail).toWellFormed().trimEnd();
  }

  #trim(): void {
    this.#tail = this.#tail.slice(-this.#half);
  }
}

/** As much of a text as a failure quotes. */
export function quoted(text: string): string {
  const excerpt = new Excerpt(MAX_QUOTED_CHARACTERS);
  excerpt.add(text);
  return excerpt.toString();
}
