/**
 * Reads what a process writes line by line.
 *
 * @module
 */

/** Options for {@linkcode linesOf}. */
export interface LinesOptions {
  /** The longest line, in characters. @default {Infinity} */
  readonly max?: number;
  /** Stops reading, though the stream has not ended. */
  readonly stop?: AbortSignal;
}

/**
 * The lines of a stream.
 *
 * @throws {RangeError} for a line that is too long, and why it was stopped.
 */
export async function* linesOf(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  { max = Infinity, stop }: LinesOptions = {},
): AsyncGenerator<string, void> {
  let parts: string[] = [];
  let length = 0;
  const texts = stream.pipeThrough(new TextDecoderStream(), { signal: stop });
  for await (const text of texts) {
    let start = 0;
    for (
      let end = text.indexOf("\n");
      end >= 0;
      end = text.indexOf("\n", start)
    ) {
      yield parts.join("") + text.slice(start, end);
      parts = [];
      length = 0;
      start = end + 1;
    }
    parts.push(text.slice(start));
    length += text.length - start;
    if (length > max) {
      throw new RangeError(
        `it wrote a line of more than ${max.toLocaleString("en")} characters`,
      );
    }
  }
  if (length > 0) yield parts.join("");
}
