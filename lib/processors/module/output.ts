/**
 * Catches what a plugin prints, so that it does not mix with the runner's own
 * output, and keeps a flood of it from the runner.
 *
 * @module
 */

import { Console } from "node:console";
import process from "node:process";
import { Writable } from "node:stream";

/** Longer lines are cut. */
const MAX_LINE_CHARS = 4_000;
/** What is printed beyond this in a second is left out. */
const MAX_CHARS_PER_SECOND = 256 * 1024;

/** Splits what is printed into lines, and lets so many a second pass. */
export class LineLimit {
  readonly #take: (line: string) => void;
  readonly #nowMs: () => number;
  #rest = "";
  #startMs = -Infinity;
  #chars = 0;
  #omitted = 0;

  constructor(take: (line: string) => void, nowMs: () => number) {
    this.#take = take;
    this.#nowMs = nowMs;
  }

  write(text: string): void {
    const lines = (this.#rest + text).split("\n");
    // More than is shown of a line need not be kept.
    this.#rest = lines.pop()!.slice(0, MAX_LINE_CHARS + 1);
    for (const line of lines) this.#pass(line);
  }

  #pass(line: string): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#startMs >= 1_000) {
      if (this.#omitted > 0) this.#take(`… ${this.#omitted} lines left out`);
      this.#startMs = nowMs;
      this.#chars = this.#omitted = 0;
    }
    const shown = line.length > MAX_LINE_CHARS
      ? line.slice(0, MAX_LINE_CHARS) + "…"
      : line;
    this.#chars += shown.length + 1;
    if (this.#chars > MAX_CHARS_PER_SECOND) this.#omitted++;
    else this.#take(shown);
  }
}

/**
 * Gives all that is printed in this thread to `take`, line by line.
 *
 * @returns what prints a text in the same way.
 */
export function catchOutput(
  take: (line: string) => void,
): (text: string) => void {
  const lines = new LineLimit(take, () => performance.now());
  const decoder = new TextDecoder();
  const writeBytes = (bytes: Uint8Array) => {
    lines.write(decoder.decode(bytes));
    return bytes.length;
  };
  const stream = new Writable({
    write(bytes, _encoding, done) {
      writeBytes(bytes);
      done();
    },
  });
  globalThis.console = new Console({
    stdout: stream,
    colorMode: false,
  }) as unknown as typeof console;
  for (const name of ["stdout", "stderr"] as const) {
    Object.defineProperty(process, name, { value: stream });
    Deno[name].writeSync = writeBytes;
    Deno[name].write = (bytes) => Promise.resolve(writeBytes(bytes));
  }
  return (text) => lines.write(text);
}
