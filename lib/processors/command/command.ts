/**
 * Runs a program for each task: an agent's command line, a script.
 *
 * @module
 */

import { printedOf } from "../../task/outcome.ts";
import type { AgentTask, Outcome } from "../../task/task.ts";
import type {
  CheckOptions,
  Processor,
  ProcessorContext,
} from "../processor.ts";
import { STOPPED, TaskRuns, withAnswerTime } from "../task_runs.ts";
import { checkCommand, checkRepository } from "./check.ts";
import type { CommandConfig } from "./config.ts";
import type { RunFolder } from "./folder.ts";
import { commandFor, programOf, SHELL, shownWords, stdinOf } from "./input.ts";
import { limitOutcome, warnOfMistake } from "./message.ts";
import { CommandOutput } from "./output.ts";
import { quoted } from "./printed_text.ts";
import { type ProgramParts, Programs } from "./programs.ts";
import { writeResults } from "./results_file.ts";
import type { RunParts } from "./verify.ts";
import { workIn } from "./work.ts";

/** Makes the processor. Dispose of it to stop its programs. */
export function createCommandProcessor(
  config: CommandConfig,
  parts: ProgramParts,
): Processor {
  return new CommandProcessor(config, parts);
}

class CommandProcessor implements Processor {
  readonly name = "command";
  readonly stopGraceMs: number;
  readonly #config: CommandConfig;
  readonly #programs: Programs;
  readonly #runs = new TaskRuns();

  constructor(config: CommandConfig, parts: ProgramParts) {
    this.#config = config;
    this.#programs = new Programs(config, parts);
    this.stopGraceMs = this.#programs.stopGraceMs;
  }

  describe(task: AgentTask): string {
    const { command, shell = "" } = this.#config;
    const words = command
      ? commandFor(command, task, this.#programs.parts)
      : [SHELL, "-c", shell];
    return `runs ${shownWords(words)}`;
  }

  check({ isQuiet }: CheckOptions = {}): Promise<readonly string[]> {
    return checkCommand(this.#config, { ...this.#programs.parts, isQuiet });
  }

  warnings(): Promise<readonly string[]> {
    return checkRepository(this.#config, this.#programs.parts);
  }

  process(task: AgentTask, context: ProcessorContext): Promise<Outcome> {
    return this.#runs.run(context, (stop) => this.#run(task, context, stop));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#runs[Symbol.asyncDispose]();
    await this.#programs[Symbol.asyncDispose]();
  }

  async #run(
    task: AgentTask,
    context: ProcessorContext,
    stop: AbortSignal,
  ): Promise<Outcome> {
    const programs = this.#programs;
    const parts: RunParts = {
      task,
      context,
      programs,
      surroundings: programs.surroundings(task, context),
      stop,
      idleTimeout: 0,
    };
    return await workIn(
      this.#config,
      parts,
      (folder) => this.#runIn(folder, parts),
    );
  }

  async #runIn(
    { path: cwd, git }: RunFolder,
    { task, context, stop, surroundings }: RunParts,
  ): Promise<Outcome> {
    const config = this.#config;
    const { baseFolder, clock, log } = this.#programs.parts;
    const { results } = context;
    const { env, secrets } = surroundings;
    const program = programOf(config, task, { baseFolder, results });
    const input = stdinOf(config, task, context);
    await using file = await writeResults(results, { task, log, stop });
    if (stop.aborted) return STOPPED;

    const output = new CommandOutput({
      context,
      secrets,
      limit: config.outputLimit,
      onMistake: (why) => warnOfMistake(why, { log, task }),
    });
    const { status, isStopped } = await this.#programs.run(program, {
      cwd,
      env: { ...env, ...git?.env, ...file?.env },
      input,
      task,
      context,
      stop,
      output,
    });
    const { message, stdout, stderr } = output;
    const now = clock.now();
    const own = status ? outcomeOf(status, { output, config, now }) : STOPPED;
    // A program that was told to stop may end as if it had done its work.
    const isDone = !isStopped ||
      own.kind === "completed" && message?.kind === "result";
    const outcome = isDone ? own : STOPPED;
    const isResult = outcome.kind === "completed" && outcome.result === stdout;
    const printed = printedOf({ stdout: isResult ? "" : stdout, stderr });
    return printed ? { ...outcome, printed } : outcome;
  }
}

/** The outcome of a program that ended by itself. */
function outcomeOf(
  status: Deno.CommandStatus,
  { output, config, now }: {
    readonly output: CommandOutput;
    readonly config: CommandConfig;
    readonly now: Date;
  },
): Outcome {
  const { stdout, stderr, message } = output;
  const { exitCodes, answerWithin } = config;
  // Whatever it ends with: what it says is plainer.
  if (message?.kind === "limit") return limitOutcome(message, now);
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
