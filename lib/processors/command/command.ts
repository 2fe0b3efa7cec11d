/**
 * Runs a program for each task: an agent's command line, a script.
 *
 * @module
 */

import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { printedOf } from "../../task/outcome.ts";
import type { AgentTask, Outcome } from "../../task/task.ts";
import type { Processor, ProcessorContext } from "../processor.ts";
import {
  RunError,
  STOPPED,
  TaskRuns,
  type VariableLookup,
  withAnswerTime,
} from "../task_runs.ts";
import { checkCommand } from "./check.ts";
import type { CommandConfig } from "./config.ts";
import { type FolderEnd, openFolder } from "./folder.ts";
import {
  commandFor,
  passedVariables,
  programOf,
  secretsOf,
  SHELL,
  stdinOf,
  taskVariables,
  variableProblems,
} from "./input.ts";
import { Excerpt, MAX_QUOTED_CHARACTERS } from "./output.ts";
import { ProcessGuard } from "./process_guard.ts";
import { type RunEnd, runProgram } from "./run.ts";

/** What {@linkcode createCommandProcessor} needs beside the configuration. */
export interface CommandParts {
  /** Paths in the configuration start here. */
  readonly baseFolder: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Finds a variable of the runner's environment. @default {Deno.env.get} */
  readonly variable?: VariableLookup;
}

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
  readonly #runs = new TaskRuns();

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

  process(task: AgentTask, context: ProcessorContext): Promise<Outcome> {
    return this.#runs.run(context, (stop) => this.#run(task, context, stop));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#runs[Symbol.asyncDispose]();
    await this.#guard[Symbol.asyncDispose]();
  }

  async #run(
    task: AgentTask,
    context: ProcessorContext,
    stop: AbortSignal,
  ): Promise<Outcome> {
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
    const problems = variableProblems(config, passed);
    if (problems.length > 0) {
      throw new RunError(problems.join(" "), { retryable: false });
    }
    const given = taskVariables(task, context);
    for (const sentence of given.omitted) context.output(sentence, "notice");
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
    const { status, isStopped, message, stdout, stderr } = end;
    const own = status ? outcomeOf({ ...end, status }, config) : STOPPED;
    // A program that was told to stop may end as if it had done its work.
    const isDone = !isStopped ||
      own.kind === "completed" && message?.kind === "result";
    const outcome = isDone ? own : STOPPED;
    const isResult = outcome.kind === "completed" && outcome.result === stdout;
    const printed = printedOf({ stdout: isResult ? "" : stdout, stderr });
    return printed ? { ...outcome, printed } : outcome;
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

type Ended = RunEnd & { readonly status: Deno.CommandStatus };

/** The outcome of a program that ended by itself. */
function outcomeOf(
  { status, stdout, stderr, message }: Ended,
  { exitCodes, answerWithin }: CommandConfig,
): Outcome {
  const meaning = meaningOf(status, exitCodes);
  switch (meaning) {
    case "completed":
      if (message?.kind === "question") return ask(message.question);
      if (message) return { kind: "completed", result: message.value };
      return stdout === ""
        ? { kind: "completed" }
        : { kind: "completed", result: stdout };
    case "needsInput":
      if (message?.kind === "question") return ask(message.question);
      return ask(stdout || "The program needs input, and does not say which");
    default:
      return {
        kind: "failed",
        error: errorOf(status, quoted(stderr || stdout)),
        retryable: meaning === "retry",
      };
  }

  function ask(question: string): Outcome {
    return withAnswerTime({ kind: "needs_input", question }, answerWithin);
  }
}

type ExitCodes = CommandConfig["exitCodes"];

const MEANINGS = ["completed", "needsInput", "retry", "failed"] as const;

function meaningOf(
  { code, signal }: Deno.CommandStatus,
  exitCodes: ExitCodes,
): (typeof MEANINGS)[number] {
  if (signal !== null) return exitCodes.others;
  return MEANINGS.find((it) => exitCodes[it].includes(code)) ??
    exitCodes.others;
}

function errorOf(
  { code, signal }: Deno.CommandStatus,
  output: string,
): string {
  const end = signal === null ? `Exit code ${code}` : `Killed by ${signal}`;
  return output === "" ? end : `${end}: ${output}`;
}

function quoted(text: string): string {
  const excerpt = new Excerpt(MAX_QUOTED_CHARACTERS);
  excerpt.add(text);
  return excerpt.toString();
}
