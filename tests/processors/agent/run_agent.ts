/**
 * Runs the agent processor on one task, as the runner does, with a CLI that is a
 * script.
 *
 * @module
 */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Clock, systemClock } from "../../../lib/base/clock.ts";
import { createLog } from "../../../lib/base/log.ts";
import { createAgentProcessor } from "../../../lib/processors/agent/agent.ts";
import type { Spending } from "../../../lib/processors/agent/cli_run.ts";
import { agentConfig } from "../../../lib/processors/agent/config.ts";
import type {
  OutputKind,
  Processor,
} from "../../../lib/processors/processor.ts";
import type { AgentSession } from "../../../lib/task/session.ts";
import type {
  AgentTask,
  JsonObject,
  Outcome,
  RunNoteKind,
  TaskResult,
} from "../../../lib/task/task.ts";
import { answersOf, stringifyJson } from "../../../lib/task/trace.ts";
import { sampleTask } from "../../support/sample_task.ts";

/** The id of every task here. */
export const TASK_ID = "550e8400-e29b-41d4-a716-446655440000";

/** The agent of most tests: see plain_agent.ts. */
const PLAIN = fileURLToPath(new URL("./plain_agent.ts", import.meta.url));

/** What is run, and how. */
export interface AgentRunOptions {
  /** What the CLI does at each call, as shell scripts; the last one goes on. */
  readonly cli: readonly string[];
  readonly config?: object;
  readonly task?: Partial<AgentTask>;
  readonly trace?: JsonObject;
  readonly results?: readonly TaskResult[];
  /** The runner's environment, beside PATH. */
  readonly variables?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
  readonly spending?: Spending;
  /** Files beside the configuration. */
  readonly files?: Readonly<Record<string, string>>;
}

/** A task that an agent works on. Dispose of it to stop that. */
export class AgentRun implements AsyncDisposable {
  readonly processor: Processor;
  readonly lines: (readonly [OutputKind, string])[] = [];
  readonly progress: string[] = [];
  readonly notes: (readonly [RunNoteKind, string])[] = [];
  readonly sessions: AgentSession[] = [];
  readonly stop = new AbortController();
  /** The task's, with the session that was noted. */
  trace: JsonObject;
  readonly #base: string;
  readonly #options: AgentRunOptions;
  #waiting: { line: string; resolve: () => void }[] = [];

  private constructor(
    base: string,
    processor: Processor,
    options: AgentRunOptions,
  ) {
    this.#base = base;
    this.processor = processor;
    this.#options = options;
    this.trace = { ...options.trace };
  }

  static async make(options: AgentRunOptions): Promise<AgentRun> {
    const base = await Deno.makeTempDir();
    await Deno.writeTextFile(join(base, "cli"), scriptOf(base, options.cli), {
      mode: 0o755,
    });
    for (const [name, text] of Object.entries(options.files ?? {})) {
      await Deno.writeTextFile(join(base, name), text);
    }
    const variables: Readonly<Record<string, string>> = {
      PATH: Deno.env.get("PATH") ?? "",
      ...options.variables,
    };
    const config = agentConfig.parse({
      agent: PLAIN,
      program: "./cli",
      workspace: "work",
      ...options.config,
    });
    const processor = await createAgentProcessor(config, {
      baseFolder: base,
      clock: options.clock ?? systemClock,
      log: createLog({ write: () => {} }),
      variable: (name) => variables[name],
      spending: options.spending,
    });
    return new AgentRun(base, processor, options);
  }

  /** Does the task's work; with what came since, for a later attempt. */
  async run(
    { task, trace }: { task?: Partial<AgentTask>; trace?: JsonObject } = {},
  ): Promise<Outcome> {
    this.trace = { ...this.trace, ...trace };
    const whole = this.taskWith(task);
    return await this.processor.process(whole, {
      signal: this.stop.signal,
      idempotencyKey: `${whole.id}:${whole.attempt}`,
      trace: this.trace,
      answers: answersOf(this.trace),
      results: this.#options.results ?? [],
      progress: (message) => this.progress.push(message),
      note: (kind, detail, kept = {}) => {
        this.notes.push([kind, detail]);
        if (kept.session) this.sessions.push(kept.session);
        // As it is kept.
        this.trace = { ...this.trace, ...JSON.parse(JSON.stringify(kept)) };
      },
      output: (line, kind = "stdout") => {
        this.lines.push([kind, line]);
        this.#waiting = this.#waiting.filter((it) =>
          it.line === line ? it.resolve() : true
        );
      },
    });
  }

  /** The task, as the runner gives it. */
  taskWith(task: Partial<AgentTask> = {}): AgentTask {
    return sampleTask({
      id: TASK_ID,
      provider: "agent",
      instruction: "Mend it",
      traceText: stringifyJson(this.trace),
      ...this.#options.task,
      ...task,
    });
  }

  /** Resolves when a line comes. */
  printed(line: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (this.lines.some(([, it]) => it === line)) resolve();
    else this.#waiting.push({ line, resolve });
    return promise;
  }

  /** The arguments of each call of the CLI. */
  async calls(): Promise<string[][]> {
    const calls: string[][] = [];
    for (let call = 1;; call++) {
      try {
        const text = await Deno.readTextFile(join(this.#base, `args.${call}`));
        calls.push(text.split("\0").slice(0, -1));
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return calls;
        throw error;
      }
    }
  }

  /** What the CLI was told at each call. */
  async prompts(): Promise<string[]> {
    return (await this.calls()).map((args) => args.at(-1) ?? "");
  }

  /** With which session it was called each time: `--new=ID`. */
  async starts(): Promise<string[]> {
    return (await this.calls()).map((args) =>
      args.find((it) => /^--(new|resume)\b/.test(it)) ?? ""
    );
  }

  /** A file or folder below that of the configuration. */
  path(...parts: string[]): string {
    return join(this.#base, ...parts);
  }

  /** The details of the notes of one kind. */
  noted(kind: RunNoteKind): string[] {
    return this.notes.filter(([it]) => it === kind).map(([, it]) => it);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.processor[Symbol.asyncDispose]?.();
    await Deno.remove(this.#base, { recursive: true });
  }
}

/** Counts its calls and keeps their arguments, then does what is scripted. */
function scriptOf(base: string, cli: readonly string[]): string {
  const cases = cli.map((script, index) =>
    `${index === cli.length - 1 ? "*" : index + 1})\n${script}\n;;\n`
  );
  return `#!/bin/sh
call=$(( $(cat '${base}/call' 2>/dev/null || echo 0) + 1 ))
echo $call > '${base}/call'
printf '%s\\0' "$@" > '${base}/args.'$call
case $call in
${cases.join("")}
esac
`;
}

/** A script that prints lines of JSON. */
export function say(...objects: readonly object[]): string {
  return objects.map((it) =>
    `printf '%s\\n' '${JSON.stringify(it).replaceAll("'", `'\\''`)}'`
  ).join("\n");
}

/** A line that says something. */
export function sign(kind: string, rest: object = {}): object {
  return { sign: { kind, ...rest } };
}

/** The last line of a run that came to this text. */
export function result(text: string, rest: object = {}): object {
  return { end: { result: text, ...rest } };
}

/** A result with a question. */
export function question(text: string): object {
  return result(
    `I need to know.\n${
      JSON.stringify({ agent_runner: "question", question: text })
    }`,
  );
}

/** The last line of a run that failed. */
export function failure(
  kind: string,
  message: string,
  rest: object = {},
): object {
  return { end: { error: { kind, message, ...rest } } };
}
