/**
 * Runs the command processor on one task, as the runner does.
 *
 * @module
 */

import { type Clock, systemClock } from "../../../lib/base/clock.ts";
import { createLog } from "../../../lib/base/log.ts";
import type {
  Processor,
  ProcessorContext,
} from "../../../lib/processors/processor.ts";
import { createCommandProcessor } from "../../../lib/processors/command/command.ts";
import { commandConfig } from "../../../lib/processors/command/config.ts";
import type { OutputKind } from "../../../lib/task/run_log.ts";
import type { AgentTask, Outcome } from "../../../lib/task/task.ts";
import { sampleTask } from "../../support/sample_task.ts";

/** The id of every task here. */
export const TASK_ID = "550e8400-e29b-41d4-a716-446655440000";

/** What is run, and how. */
export interface CommandRunOptions {
  readonly task?: Partial<AgentTask>;
  readonly context?: Partial<ProcessorContext>;
  /** The runner's environment. Default: the PATH of the tests. */
  readonly variables?: Readonly<Record<string, string>>;
  readonly baseFolder?: string;
  readonly clock?: Clock;
}

/** A run of a command. */
export class CommandRun implements AsyncDisposable {
  readonly processor: Processor;
  readonly outcome: Promise<Outcome>;
  readonly lines: string[] = [];
  /** What each of them is. */
  readonly kinds: OutputKind[] = [];
  readonly notes: [message: string, fraction: number | undefined][] = [];
  readonly stop = new AbortController();
  readonly #waiting = new Map<string, () => void>();
  readonly #options: CommandRunOptions;
  #log = "";

  constructor(config: object, options: CommandRunOptions = {}) {
    const variables: Readonly<Record<string, string>> = {
      PATH: Deno.env.get("PATH") ?? "",
      ...options.variables,
    };
    this.processor = createCommandProcessor(commandConfig.parse(config), {
      baseFolder: options.baseFolder ?? Deno.cwd(),
      clock: options.clock ?? systemClock,
      log: createLog({ write: (text) => this.#log += text }),
      variable: (name) => variables[name],
    });
    this.#options = options;
    this.outcome = this.again();
  }

  /** Runs it once more: for the same task, or another. */
  again(
    { task, context }: CommandRunOptions = this.#options,
  ): Promise<Outcome> {
    return this.processor.process(taskWith(task), {
      signal: this.stop.signal,
      idempotencyKey: `${TASK_ID}:1`,
      trace: {},
      answers: [],
      results: [],
      progress: (message, fraction) => this.notes.push([message, fraction]),
      note: () => {},
      output: (line, kind = "stdout") => {
        this.lines.push(line);
        this.kinds.push(kind);
        this.#waiting.get(line)?.();
      },
      ...context,
    });
  }

  /** Resolves when the program has printed this line. */
  async printed(line: string): Promise<void> {
    if (this.lines.includes(line)) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.set(line, resolve);
    this.outcome.then((it) =>
      reject(new Error(`It ended without ${line}: ${JSON.stringify(it)}`))
    );
    await promise;
  }

  /** What was logged, when the log has been written. */
  async log(): Promise<string> {
    await new Promise((resolve) => setTimeout(resolve, 0));
    return this.#log;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.processor[Symbol.asyncDispose]?.();
    await this.log();
  }
}

/** A task. */
export function taskWith(task: Partial<AgentTask> = {}): AgentTask {
  return sampleTask({
    id: TASK_ID,
    userId: TASK_ID,
    provider: "claude",
    ...task,
  });
}

/** Runs a command to its end. */
export async function runCommand(
  config: object,
  options: CommandRunOptions = {},
): Promise<Outcome> {
  await using run = new CommandRun(config, options);
  return await run.outcome;
}

/** Whether a process lives; one that waits for its parent to notice does not. */
export async function isAlive(pid: number): Promise<boolean> {
  const { stdout } = await new Deno.Command("ps", {
    args: ["-o", "stat=", "-p", String(pid)],
  }).output();
  return /^[^Z\s]/.test(new TextDecoder().decode(stdout).trim());
}

/** A test waits for what must happen; only a hang takes longer. */
const PATIENCE_MS = 60_000;

/** Waits until a process has ended; false where that never comes. */
export async function ended(pid: number): Promise<boolean> {
  const deadline = performance.now() + PATIENCE_MS;
  while (await isAlive(pid)) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return true;
}
