/**
 * Takes in what an agent's CLI prints: its stream as lines that people read, and
 * as progress. No secret comes past it.
 *
 * @module
 */

import { printable } from "../../base/log.ts";
import type { JsonObject } from "../../task/task.ts";
import type { Usage } from "../../task/usage.ts";
import { Excerpt, readLines, readText } from "../command/printed_text.ts";
import type { ProgramOutput } from "../command/run.ts";
import type { OutputKind, ProcessorContext } from "../processor.ts";
import type { Secrets } from "../secrets.ts";
import type {
  AgentEnd,
  AgentEnded,
  AgentReader,
  AgentSign,
} from "./dialect.ts";
import { SaidText } from "./said_text.ts";
import { AgentStream } from "./stream.ts";

/** What a CLI's output is taken in with. */
export interface AgentOutputOptions {
  readonly reader: AgentReader;
  readonly context: ProcessorContext;
  readonly secrets: Secrets;
  /** How much of each stream is kept, in characters. */
  readonly limit: number;
  /** It is still there: it printed something. */
  readonly onLife: () => void;
  readonly onSession: (id: string) => void;
  /** It does something: its provider answers, whatever becomes of the run. */
  readonly onWork: () => void;
  /** What the run used so far. */
  readonly onUsage: (usage: Usage) => void;
  /** It was not permitted something, which is told once. */
  readonly onDenied: (detail: string) => void;
}

/** The output of one run of a CLI. */
export class AgentOutput implements ProgramOutput {
  readonly #options: AgentOutputOptions;
  readonly #stream: AgentStream;
  readonly #said: Excerpt;
  readonly #stderr: Excerpt;
  readonly #text: SaidText;
  #usage: Usage | undefined;

  constructor(options: AgentOutputOptions) {
    this.#options = options;
    const { reader, limit, context, secrets } = options;
    this.#stream = new AgentStream({
      reader: masked(reader, secrets),
      onSign: (sign) => this.#take(sign),
    });
    this.#said = new Excerpt(limit);
    this.#stderr = new Excerpt(limit);
    this.#text = new SaidText(secrets, {
      onLine: (line) => this.#show(line, "text"),
      onProgress: (message, fraction) => context.progress(message, fraction),
    });
  }

  /** What it said and did, as lines that people read. */
  get said(): string {
    return this.#said.toString();
  }

  get stderr(): string {
    return this.#stderr.toString();
  }

  /** Reads until both streams end, or `stop` aborts. */
  async read(
    { stdout, stderr }: Deno.ChildProcess,
    stop: AbortSignal,
  ): Promise<void> {
    const { secrets, context, onLife } = this.#options;
    await Promise.all([
      readText(stdout, stop, (text) => {
        onLife();
        this.#stream.push(text);
      }),
      readLines(stderr, {
        stop,
        secrets,
        show: (line, end) => {
          onLife();
          this.#stderr.add(line + end);
          context.output(line, "stderr");
        },
      }),
    ]);
  }

  /** What the run came to, when its process has ended. */
  end(ended: Pick<AgentEnded, "code" | "signal">): AgentEnd {
    const end = this.#stream.end({ ...ended, stderr: this.stderr });
    this.#text.end();
    return { ...end, usage: end.usage ?? this.#usage };
  }

  #take(sign: AgentSign): void {
    const { secrets, onSession, onUsage, onDenied } = this.#options;
    switch (sign.kind) {
      case "session":
        return onSession(sign.id);
      case "usage":
        this.#usage = sign.usage;
        return onUsage(sign.usage);
      case "text":
        return this.#text.add(sign.text, sign.isPart ?? false);
    }
    this.#text.end();
    switch (sign.kind) {
      case "tool": {
        this.#options.onWork();
        const { name, target } = sign;
        return this.#tell(target ? `${name} ${target}` : name, "tool");
      }
      case "tool failed":
        return this.#tell(`Failed: ${sign.message}`, "tool");
      case "notice":
        return this.#tell(sign.text, "notice");
      case "denied": {
        const detail = secrets.mask(sign.detail);
        this.#show(`Not permitted: ${detail}`, "notice");
        return onDenied(detail);
      }
    }
  }

  /** Shows it, and that it does this now. */
  #tell(text: string, kind: OutputKind): void {
    const masked = this.#options.secrets.mask(text);
    this.#show(masked, kind);
    this.#options.context.progress(printable(masked));
  }

  #show(text: string, kind: OutputKind): void {
    for (const line of text.split("\n")) {
      this.#said.add(`${line}\n`);
      this.#options.context.output(line, kind);
    }
  }
}

/** What it reads is masked first: of what it cuts short, a part could be told. */
function masked(reader: AgentReader, secrets: Secrets): AgentReader {
  return {
    line: (object) => reader.line(secrets.maskJson(object) as JsonObject),
    end: (ended) => reader.end({ ...ended, plain: secrets.mask(ended.plain) }),
  };
}
