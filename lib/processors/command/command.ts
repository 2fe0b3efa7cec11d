/**
 * Runs a program for each task: an agent's command line, a script.
 *
 * @module
 */

import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { Processor, ProcessorContext } from "../processor.ts";
import type { AgentTask, Outcome } from "../../task/task.ts";
import { checkCommand } from "./check.ts";
import type { CommandConfig } from "./config.ts";
import { type FolderEnd, openFolder } from "./folder.ts";
import {
  commandFor,
  HopelessError,
  passedVariables,
  programOf,
  SHELL,
  stdinOf,
  taskVariables,
  type VariableLookup,
} from "./input.ts";
import { outcomeOf } from "./outcome.ts";
import { runProgram } from "./run.ts";
import { secretsOf, shortSecrets } from "./secrets.ts";
import { ProcessGuard } from "./process_guard.ts";

/** What {@linkcode createCommandProcessor} needs beside the configuration. */
export interface CommandParts {
  /** Paths in the configuration start here. */
  readonly baseFolder: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Finds a variable of the runner's environment. @default {Deno.env.get} */
  readonly variable?: VariableLookup;
}

const STOPPED: Outcome = { kind: "failed", error: "Stopped", retryable: true };
/** What a stop may take beside `killGrace`. */
const STOP_MARGIN_MS = 3_000;
/** How much of an argument `describe` shows. */
const SHOWN_CHARACTERS = 60;

/** Makes the processor. Dispose of it to stop its programs. */
export function createCommandProcessor(
  config: CommandConfig,
  parts: CommandParts,
): Processor {
  return new CommandProcessor(config, parts);
}

class CommandProcessor implements Processor {
  readonly name = "command";
  readonly stopGraceMs: number;
  readonly #config: CommandConfig;
  readonly #parts: Required<CommandParts>;
  readonly #killGraceMs: number;
  readonly #guard: ProcessGuard;
  readonly #runs = new Set<Promise<unknown>>();
  readonly #closed = new AbortController();

  constructor(config: CommandConfig, parts: CommandParts) {
    this.#config = config;
    this.#parts = { variable: (name) => Deno.env.get(name), ...parts };
    this.#killGraceMs = config.killGrace * 1_000;
    this.stopGraceMs = this.#killGraceMs + STOP_MARGIN_MS;
    this.#guard = new ProcessGuard({
      graceMs: this.#killGraceMs,
      path: this.#parts.variable("PATH"),
      log: parts.log,
    });
  }

  describe(task: AgentTask): string {
    const { command, shell = "" } = this.#config;
    const words = command
      ? commandFor(command, task, this.#parts.baseFolder)
      : [SHELL, "-c", shell];
    return `runs ${words.map(shownWord).join(" ")}`;
  }

  check(): Promise<readonly string[]> {
    return checkCommand(this.#config, this.#parts);
  }

  async process(task: AgentTask, context: ProcessorContext): Promise<Outcome> {
    const run = this.#run(task, context);
    this.#runs.add(run);
    try {
      return await run;
    } catch (error) {
      if (!(error instanceof HopelessError)) throw error;
      return { kind: "failed", error: error.message, retryable: false };
    } finally {
      this.#runs.delete(run);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort("shutdown");
    await Promise.allSettled(this.#runs);
    await this.#guard[Symbol.asyncDispose]();
  }

  async #run(task: AgentTask, context: ProcessorContext): Promise<Outcome> {
    const stop = AbortSignal.any([context.signal, this.#closed.signal]);
    if (stop.aborted) return STOPPED;
    const folder = await openFolder(task.id, this.#config, this.#parts);
    let outcome = STOPPED;
    try {
      outcome = await this.#runIn(folder.path, { task, context, stop });
      return outcome;
    } finally {
      await folder.close(folderEnd(outcome, stop));
    }
  }

  async #runIn(
    cwd: string,
    { task, context, stop }: {
      readonly task: AgentTask;
      readonly context: ProcessorContext;
      readonly stop: AbortSignal;
    },
  ): Promise<Outcome> {
    const config = this.#config;
    const { baseFolder, variable, clock, log } = this.#parts;
    const passed = passedVariables(config, variable);
    const tooShort = shortSecrets(config, passed);
    if (tooShort.length > 0) throw new HopelessError(tooShort.join(" "));
    const given = taskVariables(task, context);
    for (const sentence of given.omitted) context.output(sentence);
    const program = programOf(config, task, baseFolder);
    const input = stdinOf(config, task, context);
    if (stop.aborted) return STOPPED;

    const end = await runProgram(program, {
      cwd,
      env: { ...passed, ...given.env, AGENT_RUNNER_CONFIG_DIR: baseFolder },
      input,
      task,
      context,
      stop,
      secrets: secretsOf(config, passed),
      outputLimit: config.outputLimit,
      killGraceMs: this.#killGraceMs,
      guard: this.#guard,
      clock,
      log,
    });
    if (!end.status) return STOPPED;
    const outcome = outcomeOf({ ...end, status: end.status }, config);
    // A program that was told to stop may end as if it had done its work.
    const isDone = !end.isStopped ||
      outcome.kind === "completed" && end.message?.kind === "result";
    return isDone ? outcome : STOPPED;
  }
}

function folderEnd(outcome: Outcome, stop: AbortSignal): FolderEnd {
  if (stop.reason === "lease lost") return "lost";
  if (outcome.kind === "completed") return "completed";
  return outcome.kind === "needs_input" || stop.reason === "shutdown"
    ? "goes on"
    : "failed";
}

function shownWord(word: string): string {
  const shown = word.length > SHOWN_CHARACTERS
    ? `${word.slice(0, SHOWN_CHARACTERS)}…`
    : word;
  return /^[\w@%+=:,./{}-]+$/.test(shown) ? shown : JSON.stringify(shown);
}
