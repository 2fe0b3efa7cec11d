/**
 * Runs whole processes and measures them.
 *
 * @module
 */

import type { Bench } from "./bench.ts";
import { runEnv } from "../../tools/run_task.ts";
import { programCommand } from "./child.ts";
import type { Usage } from "./usage.ts";

/** What a process needs to find Deno's cache; all else comes from a scenario. */
const KEPT_VARIABLES = ["PATH", "HOME", "DENO_DIR", "XDG_CACHE_HOME"];

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
    const kept = KEPT_VARIABLES.map((name) => [name, Deno.env.get(name)]);
    this.#child = new Deno.Command("sh", {
      // Only a shell gives a process a file for its log; it is one then itself.
      args: ["-c", 'exec "$@" >"$OUT" 2>"$LOG"', "sh", ...command],
      cwd: bench.folder,
      clearEnv: true,
      env: {
        ...Object.fromEntries(kept.filter(([, value]) => value)),
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

/** Starts the program. */
export function startProgram(
  bench: Bench,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Process {
  return new Process(bench, programCommand(args), {
    ...runEnv,
    ...NO_OP,
    ...env,
  });
}

/** Runs the program to its end. */
export async function runProgram(
  bench: Bench,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Finished> {
  await using process = startProgram(bench, args, env);
  return await process.ended();
}
