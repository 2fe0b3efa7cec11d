/**
 * Runs tasks in a TypeScript or JavaScript file of the user's: a plugin, in a
 * process with its own permissions and memory.
 *
 * @module
 */

import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { backoffMs } from "../../base/backoff.ts";
import type { Clock } from "../../base/clock.ts";
import { messageOf, UserError } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import type { PluginTask } from "./plugin.ts";
import type {
  CheckOptions,
  Processor,
  ProcessorContext,
} from "../processor.ts";
import type { AgentTask, Outcome } from "../../task/task.ts";
import type { ModuleConfig } from "./config.ts";
import { pluginGrants } from "./open.ts";
import {
  describePermissions,
  missingFlags,
  resolvePermissions,
  withLoadGrants,
} from "./permissions.ts";
import { PluginProcess } from "./process.ts";

/** What {@linkcode createModuleProcessor} needs beside the configuration. */
export interface ModuleParts {
  /** Paths in the configuration start here. */
  readonly baseFolder: string;
  readonly clock: Clock;
  readonly log: Log;
  /**
   * How long a run has to return after it was told to stop, in milliseconds.
   * Less than the executor gives, so that its end can be told from a refusal.
   *
   * @default {500}
   */
  readonly graceMs?: number;
}

/** A process that ends sooner than this has ended at once. */
const SHORT_LIFE_MS = 10_000;
/** The delay before the third process, after two that ended at once. */
const RESTART_DELAY = { baseMs: 1_000, maxMs: 60_000 };

/** Makes the processor. The plugin is loaded with its first task. */
export function createModuleProcessor(
  config: ModuleConfig,
  parts: ModuleParts,
): Processor {
  return new ModuleProcessor(config, parts);
}

class ModuleProcessor implements Processor {
  readonly name: string;
  readonly #config: ModuleConfig;
  readonly #parts: ModuleParts;
  readonly #file: string;
  readonly #processes = new Set<PluginProcess>();
  /** The one that takes runs, or that is being started. */
  #current: Promise<PluginProcess> | undefined;
  #shortLives = 0;
  #notBeforeMs = -Infinity;
  #isDisposed = false;

  constructor(config: ModuleConfig, parts: ModuleParts) {
    this.#config = {
      ...config,
      permissions: resolvePermissions(config.permissions, parts.baseFolder),
    };
    this.#parts = parts;
    this.#file = resolve(parts.baseFolder, config.module);
    this.name = `module ${basename(this.#file)}`;
  }

  describe(): string {
    const { permissions } = this.#config;
    return `runs ${this.#file} with ${describePermissions(permissions)}`;
  }

  async check({ isQuiet }: CheckOptions = {}): Promise<readonly string[]> {
    try {
      if (isQuiet) {
        await this.#prepare().catch((error) => {
          throw this.#unusable(error);
        });
        return [];
      }
      const running = await this.#process();
      if (running.runs === 0) {
        this.#end(running);
        await running.ended;
      }
      return [];
    } catch (error) {
      return [messageOf(error)];
    }
  }

  async process(task: AgentTask, context: ProcessorContext): Promise<Outcome> {
    const { clock } = this.#parts;
    const { signal } = context;
    await clock.sleep(this.#notBeforeMs - clock.monotonic(), signal);
    if (!signal.aborted) {
      const running = await this.#process();
      if (!signal.aborted) {
        return await running.run(pluginTaskOf(task), context);
      }
    }
    const error = "Stopped before the module began";
    return { kind: "failed", error, retryable: true };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    const processes = [...this.#processes];
    for (const it of processes) this.#end(it);
    await Promise.all(processes.map(({ ended }) => ended));
  }

  /** @throws {UserError} that says why the plugin can't be used. */
  #process(): Promise<PluginProcess> {
    return this.#current ??= this.#start().catch((error) => {
      this.#lost();
      throw error;
    });
  }

  async #start(): Promise<PluginProcess> {
    const { clock, log, graceMs = 500 } = this.#parts;
    const { options, permissions, memory, startTimeout } = this.#config;
    const plugin = pathToFileURL(this.#file);
    const startedMs = clock.monotonic();
    try {
      const grants = await this.#prepare();
      if (this.#isDisposed) throw new Error("the runner stops");
      const running = new PluginProcess({
        label: this.name,
        order: {
          plugin: plugin.href,
          options,
          memoryMb: memory,
          permissions,
          grants,
        },
        startTimeoutMs: startTimeout * 1_000,
        graceMs,
        clock,
        log,
        onLost: (reason) => {
          log.warning(`${this.name} was ended: ${reason}`, {
            event: "module_ended",
            module: this.name,
            reason,
          });
          this.#lost(clock.monotonic() - startedMs);
        },
      });
      this.#processes.add(running);
      running.ended.then(() => this.#processes.delete(running));
      await running.ready;
      return running;
    } catch (error) {
      throw this.#unusable(error);
    }
  }

  #unusable(error: unknown): UserError {
    const reason = messageOf(error);
    return new UserError(
      `Cannot use module ${this.#file}: ${reason}` +
        loadAdvice(reason, Deno.build.standalone),
      { cause: error },
    );
  }

  /** What it may do so that it can be loaded, where its file is there. */
  async #prepare() {
    const { permissions } = this.#config;
    await this.#checkFile();
    const grants = await pluginGrants(permissions, pathToFileURL(this.#file));
    await checkOwn(withLoadGrants(permissions, grants));
    return grants;
  }

  async #checkFile(): Promise<void> {
    const file = await Deno.stat(this.#file).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
    if (file?.isFile) return;
    throw new UserError(
      `${file ? "that is no file" : "there is no such file"}. ` +
        'Mend "module" in the configuration.',
    );
  }

  /** The next run starts another process, later where this one ended at once. */
  #lost(lifeMs = 0): void {
    const { clock } = this.#parts;
    this.#current = undefined;
    this.#shortLives = lifeMs < SHORT_LIFE_MS ? this.#shortLives + 1 : 0;
    if (this.#shortLives < 2) return;
    this.#notBeforeMs = clock.monotonic() +
      backoffMs(this.#shortLives - 1, RESTART_DELAY);
  }

  #end(running: PluginProcess): void {
    this.#current = undefined;
    running.end("the runner stops");
  }
}

/** @throws {UserError} where a module is to do more than agent-runner may. */
async function checkOwn(permissions: ModuleConfig["permissions"]) {
  const flags = await missingFlags(permissions);
  if (flags.length === 0) return;
  throw new UserError(
    "it may not do more than agent-runner itself, which lacks " +
      `${flags.join(" ")}. ` +
      (Deno.build.standalone
        ? "Use an executable that was built with that, "
        : "Start agent-runner with that, add it to the permissions in its " +
          "deno.json, ") +
      "or take it out of the module's permissions.",
  );
}

function pluginTaskOf(task: AgentTask): PluginTask {
  const { id, userId, provider, targetType, targetRef } = task;
  const { instruction, priority, attempt, createdAt } = task;
  return {
    id,
    userId,
    provider,
    targetType,
    targetRef,
    instruction,
    priority,
    attempt,
    createdAt,
  };
}

/** What an executable made by `deno compile` can't load, as Deno says it. */
const NEEDS_PACKAGE =
  /\b(npm|jsr|https?):|not found|not a dependency|find con/i;

/** What to do about an error of loading, where that is not in its message. */
export function loadAdvice(message: string, isExecutable: boolean): string {
  return isExecutable && NEEDS_PACKAGE.test(message)
    ? ". The executable loads files, but no packages. Make one file of the " +
      "plugin and its packages: deno bundle plugin.ts -o plugin.js"
    : "";
}
