/**
 * The user's own programs beside the work: its check, and what sets up its folder.
 *
 * @module
 */

import type { AgentTask } from "../../task/task.ts";
import type { ProgramEnd } from "../../workspaces/workspace.ts";
import type { OutputKind, ProcessorContext } from "../processor.ts";
import { programProblem } from "./check.ts";
import { IdleWatch } from "./idle_watch.ts";
import { hasSlash, pathOf, shownWords, withConfigDir } from "./input.ts";
import { Excerpt, readLines } from "./printed_text.ts";
import type { Programs, Surroundings } from "./programs.ts";
import type { ProgramOutput } from "./run.ts";

/** As much of a check's output as the agent is told, in characters. */
const MAX_TOLD_CHARACTERS = 8_000;

/** What the programs of a run are run with. */
export interface RunParts {
  readonly task: AgentTask;
  readonly context: ProcessorContext;
  readonly programs: Programs;
  readonly surroundings: Surroundings;
  /** Ends it. */
  readonly stop: AbortSignal;
  /** How long it may print nothing, in seconds; 0: for ever. */
  readonly idleTimeout: number;
}

/** The check as people write it. */
export function shownCheck(verify: readonly string[]): string {
  return shownWords(verify);
}

/**
 * What keeps the check from being started; undefined for nothing. Of a program in
 * the task's folder nobody knows before the agent has been at work there.
 */
export async function checkProblem(
  { verify }: { readonly verify?: readonly string[] | undefined },
  { path, baseFolder }: { path: string; baseFolder: string },
): Promise<string | undefined> {
  const [name = ""] = verify ?? [];
  const program = withConfigDir(name, baseFolder);
  if (!verify || hasSlash(name) && program === name) return undefined;
  const problem = await programProblem(program, { path, baseFolder });
  return problem && `It can't be checked: ${problem}`;
}

/**
 * Runs such a program in a folder. Resolves when nothing is left of it.
 *
 * @throws {UserError} where it can't be started.
 */
export async function runCheck(
  verify: readonly string[],
  folder: string,
  { task, context, programs, surroundings, stop, idleTimeout }: RunParts,
): Promise<ProgramEnd> {
  const { env, secrets } = surroundings;
  const { clock, baseFolder } = programs.parts;
  using watch = new IdleWatch(idleTimeout * 1_000, clock);
  const printed = new Excerpt(MAX_TOLD_CHARACTERS);
  const output: ProgramOutput = {
    async read({ stdout, stderr }, stop) {
      const read = (stream: typeof stdout, kind: OutputKind) =>
        readLines(stream.pipeThrough(heardBy(watch)), {
          stop,
          secrets,
          show: (line, end) => {
            context.output(line, kind);
            printed.add(line + (end || "\n"));
          },
        });
      await Promise.all([read(stdout, "stdout"), read(stderr, "stderr")]);
    },
  };
  const [path = "", ...args] = verify.map((it) =>
    withConfigDir(it, baseFolder)
  );
  const { status } = await programs.run(
    { path: pathOf(path, folder), args },
    {
      cwd: folder,
      env,
      input: undefined,
      task,
      context,
      stop: AbortSignal.any([stop, watch.signal]),
      output,
    },
  );
  const isIdle = watch.signal.aborted;
  const how = isIdle
    ? "It was ended because it printed nothing any more."
    : status?.signal
    ? `It was killed by ${status.signal}.`
    : `Its exit code was ${status?.code}.`;
  return {
    hasPassed: status?.success === true && !isIdle && !stop.aborted,
    isStopped: stop.aborted,
    output: `${printed.toString()}\n${how}`.trim(),
  };
}

/** Dots without an end of their line are a sign of life too. */
function heardBy(watch: IdleWatch) {
  return new TransformStream<
    Uint8Array<ArrayBuffer>,
    Uint8Array<ArrayBuffer>
  >({
    transform(chunk, controller) {
      watch.heard();
      controller.enqueue(chunk);
    },
  });
}
