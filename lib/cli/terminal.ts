/**
 * Standard input and output.
 *
 * @module
 */

import { decodeText } from "../base/cut.ts";
import { messageOf, UserError } from "../base/errors.ts";
import { printable } from "../base/log.ts";
import type { Screen } from "./render.ts";

/** What commands read and write. */
export interface Terminal {
  readonly screen: Screen;
  /** Writes to standard output. */
  write(text: string): void;
  /** Reads standard input to its end. */
  readInput(): Promise<string>;
  /**
   * Asks for a line; empty where nothing is typed, or the terminal is at its end.
   * Undefined where nobody can be asked, as below.
   */
  ask(question: string): Promise<string | undefined>;
  /**
   * Asks for yes or no. Undefined where nobody can be asked: standard input or
   * standard error is no terminal.
   */
  confirm(question: string): Promise<boolean | undefined>;
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
        if (error instanceof Deno.errors.BrokenPipe) {
          throw new OutputClosedError();
        }
        throw new UserError(`Cannot write the output: ${messageOf(error)}.`, {
          cause: error,
        });
      }
    },
    async readInput() {
      const bytes = await new Response(Deno.stdin.readable).bytes();
      return decodeText(bytes, "standard input");
    },
    ask,
    async confirm(question) {
      const answer = await ask(`${question} [y/N]`);
      return answer === undefined ? undefined : /^y(es)?$/i.test(answer);
    },
  };
}

async function ask(question: string): Promise<string | undefined> {
  if (!Deno.stdin.isTerminal() || !Deno.stderr.isTerminal()) return undefined;
  // Not to standard output, which may be a file.
  const lines = question.split("\n").map(printable);
  await Deno.stderr.write(new TextEncoder().encode(`${lines.join("\n")} `));
  const line = new Uint8Array(1_024);
  const length = await Deno.stdin.read(line) ?? 0;
  return new TextDecoder().decode(line.subarray(0, length)).trim();
}
