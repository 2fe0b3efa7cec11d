/**
 * Makes an agent's stdout, in pieces as it comes, into what it says.
 *
 * @module
 */

import { formatCount } from "../../base/figures.ts";
import { parseObject } from "../../task/trace.ts";
import { Excerpt, Lines } from "../command/printed_text.ts";
import type {
  AgentEnd,
  AgentEnded,
  AgentReader,
  AgentSign,
} from "./dialect.ts";
import { oneLine } from "./fields.ts";

/** A longer line is left out, in characters. */
export const MAX_STREAM_LINE = 64 * 1024 * 1024;
/** How much is kept of what is no JSON, in characters. */
const MAX_PLAIN_CHARACTERS = 20_000;

/** Options for {@linkcode AgentStream}. */
export interface AgentStreamOptions {
  readonly reader: AgentReader;
  /** Takes what the lines say, in their order. */
  readonly onSign: (sign: AgentSign) => void;
  /** The longest line, in characters. @default {MAX_STREAM_LINE} */
  readonly maxLine?: number;
}

/** The stdout of one run of an agent. */
export class AgentStream {
  readonly #options: AgentStreamOptions;
  readonly #lines: Lines;
  readonly #plain = new Excerpt(MAX_PLAIN_CHARACTERS);
  /** The characters so far of a line that is too long. */
  #tooLong = 0;
  #isEnding = false;

  constructor(options: AgentStreamOptions) {
    this.#options = options;
    this.#lines = new Lines(
      (line, end) => this.#take(line, end !== "" || this.#isEnding),
      options.maxLine ?? MAX_STREAM_LINE,
    );
  }

  /** Takes in a piece of the text; it may end anywhere. */
  push(text: string): void {
    this.#lines.push(text);
  }

  /** Takes in how the process ended, after the last piece. */
  end(ended: Omit<AgentEnded, "plain">): AgentEnd {
    const { reader, onSign } = this.#options;
    this.#isEnding = true;
    this.#lines.end();
    if (this.#tooLong > 0) this.#take("", true);
    const end = reader.end({ ...ended, plain: this.#plain.toString() });
    for (const detail of end.denied ?? []) onSign({ kind: "denied", detail });
    return end;
  }

  #take(line: string, isWhole: boolean): void {
    const { reader, onSign } = this.#options;
    if (!isWhole || this.#tooLong > 0) {
      this.#tooLong += line.length;
      if (isWhole) this.#leaveOut();
      return;
    }
    if (line.trim() === "") return;
    const object = line.trimStart().startsWith("{")
      ? parseObject(line)
      : undefined;
    if (object) {
      for (const sign of reader.line(object)) onSign(sign);
      return;
    }
    this.#plain.add(`${line}\n`);
    const text = oneLine(line);
    if (text !== "") onSign({ kind: "notice", text });
  }

  #leaveOut(): void {
    const text = `A line of ${
      formatCount(this.#tooLong)
    } characters was left out: it is too long`;
    this.#tooLong = 0;
    this.#options.onSign({ kind: "notice", text });
  }
}
