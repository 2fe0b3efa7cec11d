/**
 * Runs an agent for each task, by its CLI: in a folder and a session of the task's,
 * with what its stream tells as progress, result and usage.
 *
 * @module
 */

import { messageOf } from "../../base/errors.ts";
import type { AgentTask, Outcome } from "../../task/task.ts";
import { parseTrace } from "../../task/trace.ts";
import { checkProgram, checkRepository } from "../command/check.ts";
import type { FolderEnd } from "../command/folder.ts";
import { type ProgramParts, Programs } from "../command/programs.ts";
import { writeResults } from "../command/results_file.ts";
import { openRunFolder } from "../command/run_folder.ts";
import { checkProblem, shownCheck } from "../command/verify.ts";
import { NO_FOLDER } from "../../workspaces/state_folder.ts";
import type {
  CheckOptions,
  Processor,
  ProcessorContext,
  ProgramVersion,
} from "../processor.ts";
import { RunError, STOPPED, TaskRuns } from "../task_runs.ts";
import { runAttempt } from "./attempt.ts";
import { shownStep, type Spending, type Step } from "./cli_run.ts";
import type { AgentConfig } from "./config.ts";
import type { Dialect } from "./dialect.ts";
import { loadDialect } from "./load_dialect.ts";
import { nextPrompt, storyOf, wholePrompt } from "./prompt.ts";
import { usableSession } from "./sessions.ts";
import { versionOf } from "./version.ts";
import { agentFolder } from "./workspace.ts";

/** What {@linkcode createAgentProcessor} needs beside the configuration. */
export interface AgentParts extends ProgramParts {
  /** What its tasks may cost. @default {any amount} */
  readonly spending?: Spending;
}

/** Makes the processor. Dispose of it to stop its programs. */
export async function createAgentProcessor(
  config: AgentConfig,
  { spending = {}, ...parts }: AgentParts,
): Promise<Processor> {
  const programs = new Programs(config, parts);
  try {
    const dialect = await loadDialect(config.agent, parts.baseFolder);
    return new AgentProcessor(config, { programs, dialect, spending });
  } catch (error) {
    // The other providers can be used.
    const problem = messageOf(error);
    return new AgentProcessor(config, { programs, problem, spending });
  }
}

interface Made {
  readonly programs: Programs;
  readonly spending: Spending;
  /** Undefined where it can't be used. */
  readonly dialect?: Dialect;
  /** Why it can't. */
  readonly problem?: string;
}

class AgentProcessor implements Processor {
  readonly name = "agent";
  readonly stopGraceMs: number;
  readonly #config: AgentConfig;
  readonly #made: Made;
  readonly #runs = new TaskRuns();

  constructor(config: AgentConfig, made: Made) {
    const { variable } = made.programs.parts;
    const { cwd, workspace, keepWorkspace, ...rest } = config;
    const { verify } = typeof workspace === "object" ? workspace : {};
    this.#config = {
      ...verify && { verify },
      ...rest,
      ...agentFolder({ cwd, workspace, keepWorkspace }, variable),
    };
    this.#made = made;
    this.stopGraceMs = made.programs.stopGraceMs;
  }

  describe(task: AgentTask): string {
    const { dialect, problem, programs } = this.#made;
    if (!dialect) return problem ?? "";
    const config = this.#config;
    const { verify } = config;
    const runs = shownStep(describedStep(task, dialect, config), {
      config,
      dialect,
      programs,
    });
    return `runs ${runs}${verify ? `, then ${shownCheck(verify)}` : ""}`;
  }

  async check({ isQuiet }: CheckOptions = {}): Promise<readonly string[]> {
    const { dialect, problem, programs } = this.#made;
    if (!dialect) return [problem ?? ""];
    const { parts } = programs;
    const { program = dialect.program } = this.#config;
    const path = parts.variable("PATH") ?? "";
    const { baseFolder } = parts;
    return [
      ...await checkProgram(program, this.#config, { ...parts, isQuiet }),
      ...this.#hasFolder ? [] : [NO_FOLDER],
      ...[await checkProblem(this.#config, { path, baseFolder })]
        .filter((it) => it !== undefined),
    ];
  }

  warnings(): Promise<readonly string[]> {
    return checkRepository(this.#config, this.#made.programs.parts);
  }

  async version(): Promise<ProgramVersion> {
    const { dialect, problem = "", programs } = this.#made;
    return dialect
      ? await versionOf(dialect, this.#config, programs)
      : { unknown: problem };
  }

  process(task: AgentTask, context: ProcessorContext): Promise<Outcome> {
    return this.#runs.run(context, (stop) => this.#run(task, context, stop));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#runs[Symbol.asyncDispose]();
    await this.#made.programs[Symbol.asyncDispose]();
  }

  get #hasFolder(): boolean {
    const { cwd, workspace } = this.#config;
    return cwd !== undefined || workspace !== undefined;
  }

  async #run(
    task: AgentTask,
    context: ProcessorContext,
    stop: AbortSignal,
  ): Promise<Outcome> {
    const { dialect, programs, spending, problem = NO_FOLDER } = this.#made;
    if (!dialect || !this.#hasFolder) {
      throw new RunError(problem, { retryable: false, isUnbegun: true });
    }
    if (!task.instruction?.trim() && !task.targetRef) {
      throw new RunError(
        `Cannot run ${dialect.name}: the task has no instruction.`,
        { retryable: false },
      );
    }
    const config = this.#config;
    const surroundings = programs.surroundings(task, context);
    const unchecked = await checkProblem(config, {
      path: surroundings.env.PATH ?? "",
      baseFolder: programs.parts.baseFolder,
    });
    if (unchecked) {
      throw new RunError(unchecked, { retryable: false, isUnbegun: true });
    }
    const { idleTimeout } = config;
    const folder = await openRunFolder(config, {
      task,
      context,
      programs,
      surroundings,
      stop,
      idleTimeout,
    });
    let outcome = STOPPED;
    try {
      await using file = await writeResults(context.results, {
        task,
        log: programs.parts.log,
        folder: folder.path,
        stop,
      });
      outcome = await runAttempt({
        task,
        context,
        stop,
        config,
        dialect,
        programs,
        folder,
        surroundings: {
          ...surroundings,
          env: { ...surroundings.env, ...folder.git?.env, ...file?.env },
        },
        spending,
        resultsPath: file?.path,
      });
      return outcome;
    } finally {
      await folder.close(folderEnd(outcome, stop));
    }
  }
}

/** What an attempt of a task would begin with. */
function describedStep(
  task: AgentTask,
  dialect: Dialect,
  { resume }: AgentConfig,
): Step {
  const trace = parseTrace(task.traceText) ?? {};
  const story = storyOf(trace);
  const session = usableSession(trace);
  if (session && session.agent === dialect.name && resume === "auto") {
    const prompt = nextPrompt(story, session.told);
    return { prompt, session: { id: session.id, isNew: false } };
  }
  return {
    prompt: wholePrompt(task, story, { hasWork: false }),
    session: dialect.takesSessionId ? { id: task.id, isNew: true } : undefined,
  };
}

/** A task that may be tried again goes on with what is in its folder. */
function folderEnd(outcome: Outcome, stop: AbortSignal): FolderEnd {
  if (stop.reason === "lease lost") return "lost";
  if (outcome.kind === "completed") return "completed";
  const isOver = outcome.kind === "failed" && !outcome.isUnbegun &&
    (!outcome.retryable || stop.reason === "cancelled");
  return isOver ? "failed" : "goes on";
}
