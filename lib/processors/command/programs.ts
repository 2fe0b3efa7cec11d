/**
 * The programs of one processor: what each is given, and how it is ended.
 *
 * @module
 */

import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { AgentTask } from "../../task/task.ts";
import type { ProcessorContext } from "../processor.ts";
import type { Secrets } from "../secrets.ts";
import { RunError, type VariableLookup } from "../task_runs.ts";
import type { ProgramConfig } from "./config.ts";
import type { Program } from "./input.ts";
import { ProcessGuard } from "./process_guard.ts";
import { ProcessTree, type ProgramOptions } from "./process_tree.ts";
import { type RunEnd, type RunOptions, runProgram } from "./run.ts";
import {
  passedVariables,
  secretsOf,
  taskVariables,
  variableProblems,
} from "./variables.ts";

/** What programs are run with, beside their configuration. */
export interface ProgramParts {
  /** Paths in the configuration start here. */
  readonly baseFolder: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Finds a variable of the runner's environment. @default {Deno.env.get} */
  readonly variable?: VariableLookup;
  /** The name of this machine. @default {Deno.hostname} */
  readonly host?: () => string;
}

/** What a program of a task is given of its surroundings. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string>>;
  /** What must not be shown of what it prints. */
  readonly secrets: Secrets;
}

/** What a stop may take beside `killGrace`. */
const STOP_MARGIN_MS = 3_000;

/** See above. Dispose of it when all have ended. */
export class Programs implements AsyncDisposable {
  readonly parts: Required<ProgramParts>;
  /** Time between SIGTERM and SIGKILL. */
  readonly killGraceMs: number;
  readonly #config: ProgramConfig;
  readonly #guard: ProcessGuard;

  constructor(config: ProgramConfig, parts: ProgramParts) {
    this.#config = config;
    this.parts = {
      variable: (name) => Deno.env.get(name),
      host: () => Deno.hostname(),
      ...parts,
    };
    this.killGraceMs = config.killGrace * 1_000;
    this.#guard = new ProcessGuard({
      graceMs: this.killGraceMs,
      path: this.parts.variable("PATH"),
      log: parts.log,
    });
  }

  /** How long a run may take to end after it was told to stop. */
  get stopGraceMs(): number {
    return this.killGraceMs + STOP_MARGIN_MS;
  }

  /**
   * What a task's program is given.
   *
   * @throws {RunError} where a variable is missing.
   */
  surroundings(task: AgentTask, context: ProcessorContext): Surroundings {
    const config = this.#config;
    const { baseFolder, variable } = this.parts;
    const passed = passedVariables(config, variable);
    const problems = variableProblems(config, passed);
    if (problems.length > 0) {
      throw new RunError(problems.join(" "), { retryable: false });
    }
    const given = taskVariables(task, context);
    for (const sentence of given.omitted) context.output(sentence, "notice");
    return {
      env: { ...passed, ...given.env, AGENT_RUNNER_CONFIG_DIR: baseFolder },
      secrets: secretsOf(config, passed),
    };
  }

  /**
   * Runs a program. Resolves when nothing is left of it.
   *
   * @throws {RunError} for a program that can't be started.
   */
  run(
    program: Program,
    options: Omit<RunOptions, "killGraceMs" | "guard" | "clock" | "log">,
  ): Promise<RunEnd> {
    const { clock, log } = this.parts;
    const { killGraceMs } = this;
    return runProgram(program, {
      ...options,
      killGraceMs,
      guard: this.#guard,
      clock,
      log,
    });
  }

  /**
   * Starts a program that is of no task.
   *
   * @throws what `Deno.Command` throws.
   */
  start(path: string, options: Omit<ProgramOptions, "env">): ProcessTree {
    const { clock, variable } = this.parts;
    const env = passedVariables(this.#config, variable);
    return new ProcessTree(path, { ...options, env }, {
      guard: this.#guard,
      clock,
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#guard[Symbol.asyncDispose]();
  }
}
