/**
 * How much memory and CPU time another process uses.
 *
 * @module
 */

import { helperCommand } from "./child.ts";

/** What a process has used until now, or until its end. */
export interface Usage {
  /** The most memory that it ever had resident (VmHWM). */
  readonly peakMb: number;
  /** User and system time of all its threads. */
  readonly cpuMs: number;
}

type Answer = PromiseWithResolvers<Usage | undefined>;

/** Asks `usage_child.ts`. */
export class UsageWatcher implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #waiting = new Map<string, Answer>();
  readonly #reading: Promise<void>;

  constructor() {
    const [program = "", ...args] = helperCommand("usage_child.ts", []);
    this.#child = new Deno.Command(program, {
      args,
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#stdin = this.#child.stdin.getWriter();
    this.#reading = this.#read();
  }

  /** Waits for the end of a process; undefined where there is no `/proc`. */
  follow(pid: number): Promise<Usage | undefined> {
    return this.#ask(`${pid} follow`);
  }

  now(pid: number): Promise<Usage | undefined> {
    return this.#ask(`${pid} now`);
  }

  async #ask(line: string): Promise<Usage | undefined> {
    const answer: Answer = Promise.withResolvers();
    this.#waiting.set(line, answer);
    await this.#stdin.write(new TextEncoder().encode(`${line}\n`));
    return await answer.promise;
  }

  async #read(): Promise<void> {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const bytes of this.#child.stdout) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split(
        "\n",
      );
      rest = lines.pop() ?? "";
      for (const text of lines) {
        const { line, usage } = JSON.parse(text);
        this.#waiting.get(line)?.resolve(usage);
        this.#waiting.delete(line);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stdin.close();
    await this.#child.status;
    await this.#reading;
  }
}
