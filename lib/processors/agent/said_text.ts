/**
 * What an agent says, which may come in pieces: its lines, and its last sentence.
 *
 * @module
 */

import { headOf } from "../../base/cut.ts";
import { parseObject } from "../../task/trace.ts";
import { messageIn } from "../command/message.ts";
import { Lines } from "../command/printed_text.ts";
import type { Secrets, SecretStream } from "../secrets.ts";

const KEY = '"agent_runner"';
/** As much of a text's end as is looked at for its last sentence. */
const MAX_END_CHARACTERS = 2_000;
/** JSON, which may still come in, and fences. */
const NO_SENTENCE = /^\s*(?:\{|```)/;
const MAX_SENTENCE_CHARACTERS = 200;

/** Who is told of a text. None of it has a secret. */
export interface SaidTextListener {
  readonly onLine: (line: string) => void;
  readonly onProgress: (message: string, fraction?: number) => void;
}

/** The texts of one run. */
export class SaidText {
  readonly #listener: SaidTextListener;
  readonly #secrets: Secrets;
  readonly #lines: Lines;
  #masked: SecretStream;
  #end = "";

  constructor(secrets: Secrets, listener: SaidTextListener) {
    this.#listener = listener;
    this.#secrets = secrets;
    this.#masked = secrets.stream();
    this.#lines = new Lines((line) => this.#show(line));
  }

  /** @param isPart more of the same text follows */
  add(text: string, isPart: boolean): void {
    this.#push(this.#masked.push(text));
    if (!isPart) return this.end();
    const sentence = lastSentence(this.#end, true);
    if (sentence) this.#listener.onProgress(sentence);
  }

  /** Nothing of this text follows. */
  end(): void {
    this.#push(this.#masked.end());
    this.#lines.end();
    this.#masked = this.#secrets.stream();
    const sentence = lastSentence(this.#end, false);
    this.#end = "";
    if (sentence) this.#listener.onProgress(sentence);
  }

  #push(text: string): void {
    this.#end = (this.#end + text).slice(-MAX_END_CHARACTERS);
    this.#lines.push(text);
  }

  #show(line: string): void {
    const object = line.includes(KEY) ? parseObject(line) : undefined;
    const message = object && messageIn(object);
    switch (message?.kind) {
      case "question":
        return this.#listener.onLine(`Asks: ${message.question}`);
      case "progress":
        return this.#listener.onProgress(message.message, message.fraction);
      case "result":
        return;
      default:
        this.#listener.onLine(line);
    }
  }
}

/** The last sentence of a text; of one that goes on, the last that is whole. */
function lastSentence(text: string, goesOn: boolean): string | undefined {
  const sentences = text.split("\n").filter((line) => !NO_SENTENCE.test(line))
    .flatMap((line) => line.split(/(?<=[.!?…:])\s+/))
    .map((it) => it.trim())
    .filter((it) => /\p{L}|\p{N}/u.test(it));
  const last = sentences.at(-1);
  const isWhole = !goesOn || /[.!?…:]$/.test(last ?? "");
  const sentence = isWhole ? last : sentences.at(-2) ?? last;
  return sentence && sentence.length > MAX_SENTENCE_CHARACTERS
    ? `${headOf(sentence, MAX_SENTENCE_CHARACTERS)}…`
    : sentence;
}
