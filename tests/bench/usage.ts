/**
 * How much memory and CPU time another process uses.
 *
 * @module
 */

import { linesOf, scriptCommand } from "./child.ts";

/** What a process has used until now, or until its end. */
export interface Usage {
  /** The most memory that it ever had resident (VmHWM). */
  readonly peakMb: number;
  /** User and system time of all its threads. */
  readonly cpuMs: number;
}

type Reply = PromiseWithResolvers<Usage | undefined>;

/** Asks `usage_child.ts`. */
export class UsageWatcher implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #waiting = new Map<string, Reply>();
  readonly #reading: Promise<void>;

  constructor() {
    const [program = "", ...args] = scriptCommand("usage_child.ts", []);
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
    const reply: Reply = Promise.withResolvers();
    this.#waiting.set(line, reply);
    await this.#stdin.write(new TextEncoder().encode(`${line}\n`));
    return await reply.promise;
  }

  async #read(): Promise<void> {
    for await (const text of linesOf(this.#child.stdout)) {
      const { line, usage } = JSON.parse(text);
      this.#waiting.get(line)?.resolve(usage);
      this.#waiting.delete(line);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stdin.close();
    await this.#child.status;
    await this.#reading;
  }
}
