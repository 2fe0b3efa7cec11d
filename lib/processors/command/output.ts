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
import { parseObject } from "../../task/trace.ts";
import type { ProcessorContext } from "../processor.ts";
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

type Message = LastMessage | {
  readonly kind: "progress";
  readonly message: string;
  readonly fraction?: number;
};

/** What a program prints is taken in with. */
export interface CommandOutputOptions {
  readonly context: ProcessorContext;
  readonly secrets: Secrets;
  /** How much of stdout is kept, in characters. */
  readonly limit: number;
}

/** The output of one program. No secret comes past it. */
export class CommandOutput {
  readonly #options: CommandOutputOptions;
  readonly #stdout: Excerpt;
  readonly #stderr = new Excerpt(MAX_QUOTED_CHARACTERS);
  #message: LastMessage | undefined;

  constructor(options: CommandOutputOptions) {
    this.#options = options;
    this.#stdout = new Excerpt(options.limit);
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
    const { context, secrets } = this.#options;
    await Promise.all([
      readLines(stdout, {
        secrets,
        stop,
        onLine: (line, goesOn) => {
          context.output(line);
          const message = goesOn ? undefined : readMessage(line);
          if (message) this.#take(message);
          else this.#stdout.add(goesOn ? line : `${line}\n`);
        },
      }),
      readLines(stderr, {
        secrets,
        stop,
        onLine: (line, goesOn) => {
          context.output(line);
          this.#stderr.add(goesOn ? line : `${line}\n`);
        },
      }),
    ]);
  }

  /** In JSON a secret can be written in many ways, so it is masked again. */
  #take(message: Message): void {
    const { context, secrets } = this.#options;
    switch (message.kind) {
      case "progress":
        context.progress(secrets.mask(message.message), message.fraction);
        break;
      case "result":
        this.#message = { ...message, value: secrets.maskJson(message.value) };
        break;
      case "question":
        this.#message = {
          ...message,
          question: secrets.mask(message.question),
        };
    }
  }
}

/** Reads a line, be it coloured; undefined for what is no message. */
function readMessage(line: string): Message | undefined {
  // Most lines are none: no need to parse those.
  if (!line.includes("agent_runner")) return undefined;
  const object = parseObject(line) ?? parseObject(stripAnsiCode(line));
  return object && messageIn(object);
}

function messageIn(object: JsonObject): Message | undefined {
  const { agent_runner: kind, message, fraction, value, question } = object;
  switch (kind) {
    case "progress":
      if (typeof message !== "string") return undefined;
      return typeof fraction === "number"
        ? { kind, message, fraction }
        : { kind, message };
    case "result":
      return value === undefined ? undefined : { kind, value };
    case "question":
      return typeof question === "string" && question.trim() !== ""
        ? { kind, question }
        : undefined;
    default:
      return undefined;
  }
}

/** What lines are read with. */
interface ReadLinesOptions {
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
async function readLines(
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
      : `\n… (cut: ${formatCount(cut)} characters left out) …\n`;
    return (this.#head + middle + this.#tail).toWellFormed().trimEnd();
  }

  #trim(): void {
    this.#tail = this.#tail.slice(-this.#half);
  }
}
