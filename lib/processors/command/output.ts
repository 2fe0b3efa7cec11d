/**
 * Takes in what a program prints.
 *
 * @module
 */

import type { ProcessorContext } from "../processor.ts";
import { type Message, readMessage } from "./messages.ts";
import { MAX_QUOTED_CHARACTERS } from "./outcome.ts";
import { Excerpt, readLines } from "./tail.ts";
import type { Secrets } from "../secrets.ts";

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
  #message: Exclude<Message, { kind: "progress" }> | undefined;

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
  get message(): Exclude<Message, { kind: "progress" }> | undefined {
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
