/**
 * Runs one program to its end.
 *
 * @module
 */

import type { Clock } from "../../base/clock.ts";
import { messageOf, UserError } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import type { AgentTask } from "../../task/task.ts";
import type { ProcessorContext } from "../processor.ts";
import { RunError } from "../task_runs.ts";
import type { Program } from "./input.ts";
import type { ProcessGuard } from "./process_guard.ts";
import { ProcessTree } from "./process_tree.ts";

/**
 * How long what a program leaves behind has to end by itself: the last of a
 * pipe may still write what it has read.
 */
const LEFT_BEHIND_MS = 500;
/** How long output is read when nobody is left who should write it. */
const LAST_OUTPUT_MS = 2_000;

/** What a program is run with. */
export interface RunOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** What its stdin gives; undefined for nothing. */
  readonly input: string | undefined;
  readonly task: AgentTask;
  readonly context: ProcessorContext;
  /** Ends it before it ends by itself. */
  readonly stop: AbortSignal;
  readonly output: ProgramOutput;
  /** Time between SIGTERM and SIGKILL. */
  readonly killGraceMs: number;
  readonly guard: ProcessGuard;
  readonly clock: Clock;
  readonly log: Log;
}

/** Takes in what a program prints. */
export interface ProgramOutput {
  /** Reads until both streams end, or `stop` aborts. */
  read(child: Deno.ChildProcess, stop: AbortSignal): Promise<void>;
}

/** How a program ended. */
export interface RunEnd {
  /** Undefined for a program that could not be killed. */
  readonly status: Deno.CommandStatus | undefined;
  /** It was told to stop before it ended. */
  readonly isStopped: boolean;
}

/**
 * Runs a program. Resolves when nothing is left of it.
 *
 * @throws {RunError} for a program that can't be started.
 */
export async function runProgram(
  program: Program,
  options: RunOptions,
): Promise<RunEnd> {
  const { input, context, output, killGraceMs, clock } = options;
  const tree = start(program, options);
  const isRead = new AbortController();
  const noMoreOutput = new AbortController();
  const end = async () => {
    const ended = await waitForEnd(tree, options);
    // Who got away may hold the pipes open.
    clock.sleep(LAST_OUTPUT_MS, isRead.signal).then(() => noMoreOutput.abort());
    return ended;
  };
  try {
    if (input !== undefined) writeInput(tree.child, input, context);
    const [ended] = await Promise.all([
      end(),
      output.read(tree.child, noMoreOutput.signal),
    ]);
    return ended;
  } finally {
    isRead.abort();
    await tree.end(killGraceMs);
  }
}

function start(
  { path, args }: Program,
  { cwd, env, input, guard, clock }: RunOptions,
): ProcessTree {
  try {
    const hasStdin = input !== undefined;
    return new ProcessTree(path, { args, cwd, env, hasStdin }, {
      guard,
      clock,
    });
  } catch (error) {
    throw startError(path, error);
  }
}

async function waitForEnd(
  tree: ProcessTree,
  { stop, killGraceMs, task, log }: RunOptions,
): Promise<RunEnd> {
  const unkillable = Promise.withResolvers<undefined>();
  const end = () => {
    tree.end(killGraceMs).then((isGone) => {
      if (!isGone) unkillable.resolve(undefined);
    }, unkillable.reject);
  };
  stop.addEventListener("abort", end);
  if (stop.aborted) end();
  const status = await Promise.race([tree.child.status, unkillable.promise]);
  const isStopped = stop.aborted;
  if (!isStopped) await tree.gone(LEFT_BEHIND_MS);
  if (!await tree.end(killGraceMs)) {
    log.warning(
      `Task ${task.id}: cannot kill all that it started (process group ` +
        `${tree.child.pid}). Look for what is left with: ps -ef`,
      { event: "program_left", task: task.id, provider: task.provider },
    );
  }
  stop.removeEventListener("abort", end);
  return { status, isStopped };
}

/** Writes while the program runs: it may read late, or never. */
async function writeInput(
  { stdin }: Deno.ChildProcess,
  text: string,
  context: ProcessorContext,
): Promise<void> {
  const writer = stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch (error) {
    // A program need not read what it gets.
    if (error instanceof Deno.errors.BrokenPipe) return;
    const why = messageOf(error);
    context.output(`Its stdin could not be written: ${why}`, "notice");
  }
}

function startError(program: string, error: unknown): Error {
  const hint = error instanceof Deno.errors.NotFound
    ? "there is no such program on PATH, or no such interpreter as its first " +
      "line says. Install it, or give its full path."
    : error instanceof Deno.errors.PermissionDenied
    ? `it is not executable. Run: chmod +x ${program}`
    : codeOf(error) === "E2BIG"
    ? "its arguments and variables are too long together. Let it read the " +
      "task from its stdin."
    : undefined;
  return hint === undefined
    ? new UserError(`Cannot run ${program}: ${messageOf(error)}`)
    : new RunError(`Cannot run ${program}: ${hint}`, {
      retryable: false,
      isUnbegun: codeOf(error) !== "E2BIG",
    });
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
