/**
 * Runs whole processes and measures them.
 *
 * @module
 */

import type { Bench } from "./bench.ts";
import { runEnv } from "../../tools/run_task.ts";
import { commandOf, keptVariables } from "../support/project.ts";
import type { Usage } from "./usage.ts";

/** Tasks run, and take no time. */
const NO_OP = {
  HANDSFREE_AGENT_RUNNER_ENABLED: "true",
  HANDSFREE_AGENT_TASK_COMPLETION_DELAY: "0",
};

/** A process that has ended. */
export interface Finished extends Partial<Usage> {
  /** From before its start to its end. */
  readonly ms: number;
  readonly stdout: string;
}

/** A process that runs, with its output and its log in files. */
export class Process implements AsyncDisposable {
  readonly #bench: Bench;
  readonly #startedAt = performance.now();
  readonly #child: Deno.ChildProcess;
  readonly #usage: Promise<Usage | undefined>;
  readonly #stdout: string;
  readonly #log: string;
  #hasEnded = false;

  constructor(
    bench: Bench,
    command: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ) {
    this.#bench = bench;
    this.#stdout = bench.newPath(".out");
    this.#log = bench.newPath(".log");
    Deno.writeTextFileSync(this.#log, ""); // Somebody may look at it at once.
    this.#child = new Deno.Command("sh", {
      // Only a shell gives a process a file for its log; it is one then itself.
      args: ["-c", 'exec "$@" >"$OUT" 2>"$LOG"', "sh", ...command],
      cwd: bench.folder,
      clearEnv: true,
      env: {
        ...keptVariables(),
        ...env,
        OUT: this.#stdout,
        LOG: this.#log,
      },
      stdin: "null",
    }).spawn();
    bench.running.add(this.#child);
    this.#child.status.finally(() => bench.running.delete(this.#child));
    this.#usage = bench.watcher.follow(this.#child.pid);
  }

  /** The log until now. */
  get log(): string {
    return Deno.readTextFileSync(this.#log);
  }

  /** What it has used until now. */
  usage(): Promise<Usage | undefined> {
    return this.#bench.watcher.now(this.#child.pid);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Ends it as a power cut does; its log stays. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
    this.#hasEnded = true;
  }

  terminate(): void {
    this.#child.kill("SIGTERM");
  }

  /** Waits for the end, which must be a success. */
  async ended(): Promise<Finished> {
    const { success, code } = await this.#child.status;
    const ms = performance.now() - this.#startedAt;
    this.#hasEnded = true;
    if (!success) {
      throw new Error(`A process ended with ${code}: ${this.log.slice(-2000)}`);
    }
    const stdout = Deno.readTextFileSync(this.#stdout);
    Deno.removeSync(this.#stdout);
    Deno.removeSync(this.#log); // 200 MB after a million tasks.
    return { ms, stdout, ...await this.#usage };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#hasEnded) return;
    this.#child.kill("SIGKILL");
    await this.#child.status;
  }
}

/** Options for {@linkcode startProgram}. */
export interface ProgramOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** The folder of another version of the program, with a slash at its end. */
  readonly root?: string;
}

/** Starts the program. */
export function startProgram(
  bench: Bench,
  args: readonly string[],
  { env, root }: ProgramOptions = {},
): Process {
  return new Process(bench, commandOf(args, root), {
    ...runEnv,
    ...NO_OP,
    ...env,
  });
}

/** Runs the program to its end. */
export async function runProgram(
  bench: Bench,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<Finished> {
  await using process = startProgram(bench, args, options);
  return await process.ended();
}
