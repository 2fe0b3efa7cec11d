/**
 * Plugins for tests: written into a folder of their own, run for real.
 *
 * @module
 */

import { type Clock, systemClock } from "../../../lib/base/clock.ts";
import { execute, StopSwitch } from "../../../lib/runner/execute.ts";
import { createLog } from "../../../lib/base/log.ts";
import type { Processor } from "../../../lib/processors/processor.ts";
import { createModuleProcessor } from "../../../lib/processors/module/module.ts";
import {
  type ModuleConfig,
  moduleConfig,
} from "../../../lib/processors/module/config.ts";
import type {
  AgentTask,
  JsonObject,
  Outcome,
  TaskResult,
} from "../../../lib/task/task.ts";
import { stringifyJson } from "../../../lib/task/trace.ts";

/** Options for {@linkcode PluginBench.create}. */
export interface PluginBenchOptions {
  readonly config?: Partial<Omit<ModuleConfig, "permissions">> & {
    readonly permissions?: Partial<ModuleConfig["permissions"]>;
  };
  /** Further files beside the plugin, by name. */
  readonly files?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
  /** How long a run has to heed its signal. @default {60_000} */
  readonly graceMs?: number;
}

/** One run of a task, and what was seen of it. */
export interface BenchRun {
  readonly stop: StopSwitch;
  readonly outcome: Promise<Outcome>;
  readonly progress: readonly (readonly [string, number?])[];
  readonly output: readonly string[];
  /** Resolves when a line of output is this one. */
  printed(line: string): Promise<void>;
}

/** A plugin that is run as the runner would. */
export class PluginBench implements AsyncDisposable {
  readonly processor: Processor;
  readonly folder: string;
  /** What the processor logged. */
  readonly log: string[];
  readonly #clock: Clock;
  #tasks = 0;

  private constructor(
    parts: Pick<PluginBench, "processor" | "folder" | "log">,
    clock: Clock,
  ) {
    this.processor = parts.processor;
    this.folder = parts.folder;
    this.log = parts.log;
    this.#clock = clock;
  }

  /** Writes `plugin.ts`; without a text, there is no such file. */
  static async create(
    text: string | undefined,
    { config, files = {}, clock = systemClock, graceMs = 60_000 }:
      PluginBenchOptions = {},
  ): Promise<PluginBench> {
    const folder = await Deno.makeTempDir({ prefix: "module test " });
    const texts = {
      ...(text !== undefined && { "plugin.ts": text }),
      ...files,
    };
    for (const [name, content] of Object.entries(texts)) {
      await Deno.writeTextFile(`${folder}/${name}`, content);
    }
    const log: string[] = [];
    const processor = createModuleProcessor(
      moduleConfig.parse({ module: "plugin.ts", ...config }),
      {
        baseFolder: folder,
        clock,
        graceMs,
        log: createLog({
          level: "DEBUG",
          write: (text) => log.push(...text.trimEnd().split("\n")),
        }),
      },
    );
    return new PluginBench({ processor, folder, log }, clock);
  }

  /** Runs a task whose instruction is this. */
  run(
    instruction = "",
    trace: JsonObject = {},
    { results = [] }: { readonly results?: readonly TaskResult[] } = {},
  ): BenchRun {
    const stop = new StopSwitch();
    const progress: [string, number?][] = [];
    const output: string[] = [];
    const waiting = new Map<string, () => void>();
    const outcome = execute({
      id: `task-${++this.#tasks}`,
      provider: "bench",
      attempt: 1,
      instruction,
      traceText: stringifyJson(trace),
      ifFailed: results.length > 0 ? "run" : null,
      createdAt: new Date("2026-01-19T18:30:00Z"),
    } as AgentTask, {
      processorFor: () => this.processor,
      clock: this.#clock,
      stop,
      timeoutMs: 0,
      loadResults: () => Promise.resolve(results),
      onProgress: (message, fraction) => progress.push([message, fraction]),
      onOutput: (line) => {
        output.push(line);
        waiting.get(line)?.();
      },
    });
    const printed = (line: string) =>
      new Promise<void>((resolve) => {
        if (output.includes(line)) resolve();
        else waiting.set(line, resolve);
      });
    return { stop, outcome, progress, output, printed };
  }

  /** Resolves when the processor has logged such a line. */
  async logged(line: RegExp): Promise<void> {
    while (!this.log.some((it) => line.test(it))) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Runs a task and says why it failed. */
  async failureOf(instruction?: string): Promise<string> {
    const outcome = await this.run(instruction).outcome;
    return outcome.kind === "failed"
      ? outcome.error.replaceAll(this.folder, "FOLDER").replaceAll(
        encodeURI(this.folder),
        "FOLDER",
      )
      : `not failed: ${outcome.kind}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.processor[Symbol.asyncDispose]?.();
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** A plugin whose `process` has this body. */
export function pluginThat(body: string): string {
  return `export default {
    async process(task, context) { ${body} },
  };`;
}
