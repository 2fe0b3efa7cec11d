/**
 * Large texts, read line by line.
 *
 * @module
 */

import { decodeText } from "../base/cut.ts";
import { messageOf, UsageError } from "../base/errors.ts";
import type { Terminal } from "./terminal.ts";

/** A text that can be read more than once. */
export interface TextSource {
  /** What messages call it. */
  readonly name: string;
  /** Its lines in bounded sets, from the first. */
  lines(): AsyncIterable<readonly string[]>;
}

/** How much is read at once. */
const PIECE_LENGTH = 262_144;

/**
 * Opens a file, or standard input for `-`. What is no regular file, such as a
 * pipe, can be read only once and is kept in memory.
 *
 * @throws {UsageError} where it can't be read; so does reading the lines.
 */
export async function openText(
  path: string,
  terminal: Terminal,
): Promise<TextSource> {
  if (path === "-") {
    return keptText("standard input", await terminal.readInput());
  }
  try {
    if ((await Deno.stat(path)).isFile) {
      return { name: path, lines: () => linesOf(fileText(path)) };
    }
    return keptText(path, decodeText(await Deno.readFile(path), path));
  } catch (error) {
    throw cannotRead(path, error);
  }
}

function keptText(name: string, text: string): TextSource {
  return { name, lines: () => linesOf(pieces()) };

  function* pieces() {
    for (let start = 0; start < text.length; start += PIECE_LENGTH) {
      yield text.slice(start, start + PIECE_LENGTH);
    }
  }
}

async function* fileText(path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const buffer = new Uint8Array(PIECE_LENGTH);
  try {
    using file = await Deno.open(path);
    let length: number | null;
    while ((length = await file.read(buffer)) !== null) {
      yield decoder.decode(buffer.subarray(0, length), { stream: true });
    }
    yield decoder.decode();
  } catch (error) {
    throw cannotRead(path, error);
  }
}

/** The lines of a text that comes in pieces; nothing after the last line end. */
async function* linesOf(
  pieces: Iterable<string> | AsyncIterable<string>,
): AsyncGenerator<string[]> {
  // Joined only where the line ends: one of many pieces is not copied for each.
  let begun: string[] = [];
  for await (const piece of pieces) {
    const lines = piece.split("\n");
    const rest = lines.pop() ?? "";
    if (lines.length > 0) {
      lines[0] = begun.join("") + lines[0];
      begun = [];
      yield lines;
    }
    begun.push(rest);
  }
  yield [begun.join("")];
}

function cannotRead(path: string, error: unknown): UsageError {
  if (error instanceof UsageError) return error;
  const reason = error instanceof Deno.errors.NotFound
    ? "there is no such file"
    : error instanceof Deno.errors.IsADirectory
    ? "it is a folder"
    : error instanceof TypeError
    ? "it is not UTF-8 text"
    : messageOf(error);
  return new UsageError(
    `Cannot read ${path}: ${reason}. Give another --file.`,
    { cause: error },
  );
}
