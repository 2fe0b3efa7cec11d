/**
 * One run of an agent's CLI: started, read, and ended where it says nothing more.
 *
 * @module
 */

import type { RunFolder } from "../command/folder.ts";
import {
  argumentProblem,
  pathOf,
  shownWords,
  withConfigDir,
} from "../command/input.ts";
import { IdleWatch } from "../command/idle_watch.ts";
import type { Programs, Surroundings } from "../command/programs.ts";
import type { ProcessorContext } from "../processor.ts";
import { RunError } from "../task_runs.ts";
import type { AgentTask } from "../../task/task.ts";
import {
  type Budget,
  type Price,
  priced,
  type Usage,
} from "../../task/usage.ts";
import type { AgentConfig } from "./config.ts";
import type { AgentEnd, AgentStart, Dialect } from "./dialect.ts";

import { AgentOutput } from "./output.ts";

/** What all runs of an attempt have in common. */
export interface AttemptParts {
  readonly task: AgentTask;
  readonly context: ProcessorContext;
  /** Ends the attempt. */
  readonly stop: AbortSignal;
  readonly config: AgentConfig;
  readonly dialect: Dialect;
  readonly programs: Programs;
  readonly folder: Pick<RunFolder, "path" | "isNew" | "git">;
  readonly surroundings: Surroundings;
  readonly spending: Spending;
  /** The file with the results of what came before; undefined without such. */
  readonly resultsPath: string | undefined;
}

/** What an agent may spend, and what its tokens cost. */
export interface Spending {
  readonly budget?: Budget | undefined;
  readonly prices?: ReadonlyMap<string, Price> | undefined;
}

/** With what the CLI is to go on, or to begin. */
export interface Step {
  readonly prompt: string;
  readonly session: AgentStart["session"];
  /** What was used in the session before, for what sums it up. */
  readonly usedBefore?: Usage | undefined;
  /** US dollars that it may cost. */
  readonly budgetUsd?: number | undefined;
}

/** Who is told of a run while it goes on. */
export interface StepListener {
  readonly onSession: (id: string) => void;
  readonly onDenied: (detail: string) => void;
}

/** What came of a run of the CLI. */
export interface StepEnd extends AgentEnd {
  /** It was told to stop. */
  readonly isStopped: boolean;
  /** It was ended because it said nothing for so long, */
  readonly isIdle: boolean;
  /** or because it costs more than it may. */
  readonly isTooDear: boolean;
  /** How it ended, for people. */
  readonly how: string;
  /** What it said and did. */
  readonly said: string;
  readonly stderr: string;
}

/**
 * Runs the CLI once. Resolves when nothing is left of it.
 *
 * @throws {RunError} where it can't be started.
 */
export async function runStep(
  step: Step,
  parts: AttemptParts,
  listener: StepListener,
): Promise<StepEnd> {
  const { task, context, config, dialect, programs, folder } = parts;
  const { env, secrets } = parts.surroundings;
  const { clock } = programs.parts;
  const start = startOf(step, parts);
  const { program, input } = programOf(start, parts);
  const reader = dialect.read({
    now: () => clock.now(),
    usedBefore: step.usedBefore,
  });
  using watch = new IdleWatch(config.idleTimeout * 1_000, clock);
  const tooDear = new AbortController();
  let hasWorked = false;
  const { budgetUsd = Infinity } = step;
  const output = new AgentOutput({
    ...listener,
    reader,
    context,
    secrets,
    limit: config.outputLimit,
    onLife: () => watch.heard(),
    onWork: () => {
      if (!hasWorked) context.note("limit_over", `${dialect.name} works`);
      hasWorked = true;
    },
    onUsage: (usage) => {
      const { costUsd = 0 } = priced(usage, parts.spending.prices) ?? {};
      if (costUsd > budgetUsd) tooDear.abort("too dear");
    },
  });
  const { status } = await programs.run(program, {
    cwd: folder.path,
    env: { ...dialect.variables?.(start), ...env },
    input,
    task,
    context,
    stop: AbortSignal.any([parts.stop, watch.signal, tooDear.signal]),
    output,
  });
  const isStopped = parts.stop.aborted;
  const { code, signal } = status ?? { code: 137, signal: "SIGKILL" };
  return {
    ...output.end({ code, signal }),
    isStopped,
    isIdle: watch.signal.aborted && !isStopped,
    isTooDear: tooDear.signal.aborted && !isStopped,
    how: signal === null ? `exit code ${code}` : `killed by ${signal}`,
    said: output.said,
    stderr: output.stderr,
  };
}

type Configured = Pick<AttemptParts, "config" | "dialect" | "programs">;

/** What a step is started with, as configured. */
function startOf(
  { prompt, session, budgetUsd }: Step,
  { config, programs }: Configured,
): AgentStart {
  const { permissions, model, args } = config;
  const { baseFolder } = programs.parts;
  return {
    prompt,
    session,
    permissions,
    model,
    budgetUsd,
    args: args.map((it) => withConfigDir(it, baseFolder)),
  };
}

/**
 * The CLI, and what its stdin gives.
 *
 * @throws {RunError} for a prompt that it can't be given.
 */
function programOf(
  start: AgentStart,
  { config, dialect, programs }: Configured,
) {
  const { program = dialect.program } = config;
  const path = pathOf(program, programs.parts.baseFolder);
  const problem = argumentProblem(start.prompt);
  if (problem === undefined) {
    return { program: { path, args: dialect.args(start) }, input: undefined };
  }
  const args = dialect.stdinArgs?.(start);
  if (args) return { program: { path, args }, input: start.prompt };
  throw new RunError(
    `Cannot run ${dialect.name}: what it is to be told ${problem}. Put ` +
      "what is long into a file in its folder, and name that.",
    { retryable: false },
  );
}

/** The CLI and its arguments, for people. */
export function shownStep(step: Step, parts: Configured): string {
  const { program = parts.dialect.program } = parts.config;
  return shownWords([program, ...parts.dialect.args(startOf(step, parts))]);
}
