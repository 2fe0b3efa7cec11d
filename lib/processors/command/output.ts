/**
 * Takes in what a program prints. A line of JSON on its stdout says something to
 * the runner:
 *
 *     {"agent_runner": "progress", "message": "Half way", "fraction": 0.5}
 *     {"agent_runner": "result", "value": {"pr": 12}}
 *     {"agent_runner": "question", "question": "Which branch?"}
 *
 * @module
 */

import { stripAnsiCode } from "@std/fmt/colors";
import { formatCount } from "../../base/figures.ts";
import type { JsonObject, JsonValue } from "../../task/task.ts";
import { parseObject, stringifyJson } from "../../task/trace.ts";
import type { OutputKind, ProcessorContext } from "../processor.ts";
import type { Secrets } from "../secrets.ts";

/** How much of its output a failure quotes, in characters. */
export const MAX_QUOTED_CHARACTERS = 2_000;

/**
 * A longer line comes in parts. A message may carry a result of 1 MiB, so this
 * is a little more.
 */
const MAX_LINE_CHARACTERS = 1_100_000;

/** A message that ends a program's work. */
export type LastMessage =
  | { readonly kind: "result"; readonly value: JsonValue }
  | { readonly kind: "question"; readonly question: string };

type Message =
  | LastMessage
  | {
    readonly kind: "progress";
    readonly message: string;
    readonly fraction?: number;
  }
  /** It was meant as a message, and is none. */
  | { readonly kind: "mistake"; readonly why: string };

/** What a program prints is taken in with. */
export interface CommandOutputOptions {
  readonly context: ProcessorContext;
  readonly secrets: Secrets;
  /** How much of each stream is kept, in characters. */
  readonly limit: number;
  /** Is told of the first line that was meant as a message, and is none. */
  readonly onMistake: (why: string) => void;
}

/** The output of one program. No secret comes past it. */
export class CommandOutput {
  readonly #options: CommandOutputOptions;
  readonly #stdout: Excerpt;
  readonly #stderr: Excerpt;
  #message: LastMessage | undefined;
  #hasMistake = false;

  constructor(options: CommandOutputOptions) {
    this.#options = options;
    this.#stdout = new Excerpt(options.limit);
    this.#stderr = new Excerpt(options.limit);
  }

  /** What was printed, without messages. */
  get stdout(): string {
    return this.#stdout.toString();
  }

  get stderr(): string {
    return this.#stderr.toString();
  }

  /** The last result or question. */
  get message(): LastMessage | undefined {
    return this.#message;
  }

  /** Reads until both streams end, or `stop` aborts. */
  async read(
    { stdout, stderr }: Deno.ChildProcess,
    stop: AbortSignal,
  ): Promise<void> {
    await Promise.all([
      this.#read(stdout, {
        stop,
        excerpt: this.#stdout,
        take: (line) => this.#take(line),
      }),
      this.#read(stderr, { stop, excerpt: this.#stderr, kind: "stderr" }),
    ]);
  }

  /**
   * Reads a stream to its end. What is no UTF-8 is replaced by U+FFFD, and secrets
   * by `***`: after its lines were understood, for a secret may be a word of them.
   */
  async #read(
    stream: ReadableStream<Uint8Array>,
    { stop, excerpt, kind, take }: ReadOptions,
  ): Promise<void> {
    const { context, secrets } = this.#options;
    const shown = new Lines((line, end) => {
      const text = line.endsWith("\r") ? line.slice(0, -1) : line;
      context.output(text, kind);
      excerpt.add(text + end);
    });
    const masked = secrets.stream();
    let unmasked = "";
    const show = () => {
      shown.push(masked.push(unmasked));
      unmasked = "";
    };
    const showAll = () => {
      show();
      shown.push(masked.end());
      shown.end();
    };
    const read = new Lines((line, end) => {
      const message = take?.(line);
      if (message === undefined) unmasked += line + end;
      else {
        showAll();
        context.output(message, kind);
      }
    });
    const reader = stream.getReader();
    const cancel = () => reader.cancel();
    stop.addEventListener("abort", cancel);
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      read.push(decoder.decode(value, { stream: true }));
      show();
    }
    stop.removeEventListener("abort", cancel);
    read.push(decoder.decode());
    read.end();
    showAll();
  }

  /**
   * Does what a line says. Returns what may be shown of it; undefined where it is
   * no message.
   */
  #take(line: string): string | undefined {
    const { context, secrets, onMistake } = this.#options;
    // Most lines are none: no need to parse those.
    if (!line.includes("agent_runner")) return undefined;
    const plain = stripAnsiCode(line);
    const object = parseObject(line) ?? parseObject(plain);
    const message = object ? messageIn(object) : mistakeIn(plain);
    switch (message?.kind) {
      case "progress": {
        const fraction = secrets.maskJson(message.fraction ?? null);
        context.progress(
          secrets.mask(message.message),
          typeof fraction === "number" ? fraction : undefined,
        );
        break;
      }
      case "result":
        this.#message = { ...message, value: secrets.maskJson(message.value) };
        break;
      case "question":
        this.#message = {
          ...message,
          question: secrets.mask(message.question),
        };
        break;
      case "mistake":
        if (!this.#hasMistake) onMistake(secrets.mask(message.why));
        this.#hasMistake = true;
        return undefined;
      case undefined:
        return undefined;
    }
    const all = stringifyJson(object ?? {});
    const masked = stringifyJson(secrets.maskJson(object ?? {}));
    // In JSON a secret can be written in many ways.
    return secrets.mask(masked === all ? line.trimEnd() : masked);
  }
}

/** A line of JSON, or one of many that make an object. */
const MEANT_AS_MESSAGE = /^\s*(\{.*)?"agent_runner"\s*:/;

function mistakeIn(line: string): Message | undefined {
  if (MEANT_AS_MESSAGE.test(line)) {
    return mistake("it is no JSON object on a line of its own");
  }
  const start = line.search(/\{\s*"agent_runner"/);
  const object = start > 0 ? parseObject(line.slice(start)) : undefined;
  const isMessage = object && messageIn(object)?.kind !== "mistake";
  return isMessage ? mistake("other text is before it on its line") : undefined;
}

/** What an object says; undefined where it was not meant as a message. */
function messageIn(object: JsonObject): Message | undefined {
  const { agent_runner: kind, message, fraction, value, question } = object;
  switch (kind) {
    case undefined:
      return undefined;
    case "progress":
      if (typeof message !== "string") return mistake('it has no "message"');
      return typeof fraction === "number"
        ? { kind, message, fraction }
        : { kind, message };
    case "result":
      return value === undefined
        ? mistake('it has no "value"')
        : { kind, value };
    case "question":
      return typeof question === "string" && question.trim() !== ""
        ? { kind, question }
        : mistake('it has no "question"');
    default:
      return mistake(
        `its kind is ${stringifyJson(kind)}, not "progress", "result" or ` +
          '"question"',
      );
  }
}

function mistake(why: string): Message {
  return { kind: "mistake", why };
}

/** What a stream is read with. */
interface ReadOptions {
  /** Stops reading, though the stream has not ended. */
  readonly stop: AbortSignal;
  /** Keeps what is no message. */
  readonly excerpt: Excerpt;
  /** @default {"stdout"} */
  readonly kind?: OutputKind;
  /** Takes messages. Default: there are none. */
  readonly take?: (line: string) => string | undefined;
}

/** Makes lines of a text in pieces. */
class Lines {
  readonly #onLine: (line: string, end: "\n" | "") => void;
  #rest = "";

  /**
   * @param onLine takes each line; its end is empty where there is none: for a part
   * that others follow, and at the end of the text
   */
  constructor(onLine: (line: string, end: "\n" | "") => void) {
    this.#onLine = onLine;
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
    if (this.#rest.length >= MAX_LINE_CHARACTERS) this.end();
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
