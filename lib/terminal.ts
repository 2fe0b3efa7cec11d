/**
 * Standard input and output.
 *
 * @module
 */

import type { Screen } from "./render.ts";

/** What commands read and write. */
export interface Terminal {
  readonly screen: Screen;
  /** Writes to standard output. */
  write(text: string): void;
  /** Reads standard input to its end. */
  readInput(): Promise<string>;
}

/** Thrown where nobody reads standard output any more, as after `| head`. */
export class OutputClosedError extends Error {
  override readonly name = "OutputClosedError";
}

/** The process's own terminal. */
export function systemTerminal(): Terminal {
  const isTerminal = Deno.stdout.isTerminal();
  return {
    screen: {
      width: isTerminal ? Deno.consoleSize().columns : undefined,
      hasColor: isTerminal && !Deno.noColor,
    },
    write(text) {
      let bytes = new TextEncoder().encode(text);
      try {
        while (bytes.length > 0) {
          bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
        }
      } catch (error) {
        if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
        throw new OutputClosedError();
      }
    },
    readInput: () => new Response(Deno.stdin.readable).text(),
  };
}
