/**
 * Takes in what a program prints.
 *
 * @module
 */

import { stripAnsiCode } from "@std/fmt/colors";
import { parseObject, stringifyJson } from "../../task/trace.ts";
import type { OutputKind, ProcessorContext } from "../processor.ts";
import type { Secrets } from "../secrets.ts";
import { type LastMessage, messageIn, mistakeIn } from "./message.ts";
import { Excerpt, readLines } from "./printed_text.ts";
import type { ProgramOutput } from "./run.ts";

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
export class CommandOutput implements ProgramOutput {
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
    const { context, secrets } = this.#options;
    const into = (excerpt: Excerpt, kind: OutputKind) => ({
      stop,
      secrets,
      show: (line: string, end: string) => {
        context.output(line, kind);
        excerpt.add(line + end);
      },
    });
    await Promise.all([
      readLines(stdout, {
        ...into(this.#stdout, "stdout"),
        messages: {
          take: (line) => this.#take(line),
          show: (message) => context.output(message),
        },
      }),
      readLines(stderr, into(this.#stderr, "stderr")),
    ]);
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
      case "limit":
        this.#message = { ...message, reason: secrets.mask(message.reason) };
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
