/**
 * Applies the patches of a task's instruction to a repository: no agent, and no
 * cost.
 *
 * @module
 */

import type { AgentTask, Outcome } from "../../task/task.ts";
import { GitError } from "../../workspaces/git.ts";
import type { Workspace } from "../../workspaces/workspace.ts";
import { checkProgram, checkRepository } from "../command/check.ts";
import { type ProgramParts, Programs } from "../command/programs.ts";
import type { RunParts } from "../command/verify.ts";
import { workIn } from "../command/work.ts";
import type {
  CheckOptions,
  Processor,
  ProcessorContext,
} from "../processor.ts";
import { TaskRuns } from "../task_runs.ts";
import { patchIn, refused } from "./blocks.ts";
import type { PatchConfig } from "./config.ts";
import { withOtherEnds } from "./line_ends.ts";

/** Makes the processor. Dispose of it to stop what it has started. */
export function createPatchProcessor(
  config: PatchConfig,
  parts: ProgramParts,
): Processor {
  return new PatchProcessor(config, parts);
}

class PatchProcessor implements Processor {
  readonly name = "patch";
  readonly stopGraceMs: number;
  readonly #config: PatchConfig;
  readonly #programs: Programs;
  readonly #runs = new TaskRuns();

  constructor(config: PatchConfig, parts: ProgramParts) {
    this.#config = config;
    this.#programs = new Programs(config, parts);
    this.stopGraceMs = this.#programs.stopGraceMs;
  }

  describe(): string {
    return `applies its patch to ${this.#config.workspace.git}`;
  }

  check({ isQuiet }: CheckOptions = {}): Promise<readonly string[]> {
    const { parts } = this.#programs;
    return checkProgram("git", this.#config, { ...parts, isQuiet });
  }

  warnings(): Promise<readonly string[]> {
    return checkRepository(this.#config, this.#programs.parts);
  }

  process(task: AgentTask, context: ProcessorContext): Promise<Outcome> {
    return this.#runs.run(context, async (stop) => {
      const patch = patchIn(task.instruction ?? "");
      const programs = this.#programs;
      const parts: RunParts = {
        task,
        context,
        programs,
        surroundings: programs.surroundings(task, context),
        stop,
        idleTimeout: 0,
      };
      const { workspace } = this.#config;
      return await workIn(
        { workspace },
        parts,
        ({ git }) => apply(patch, git!),
      );
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#runs[Symbol.asyncDispose]();
    await this.#programs[Symbol.asyncDispose]();
  }
}

/**
 * Applies a patch, whole or not at all. git refuses what is outside of the
 * repository, in `.git`, or behind a symbolic link. Line ends that do not fit a file
 * are tried as the other ones.
 */
async function apply(
  patch: string,
  { git, facts: { baseCommit } }: Workspace,
): Promise<Outcome> {
  const head = await git(["rev-parse", "HEAD"]);
  // A run that ended before it could say so has committed it.
  if (head !== baseCommit) return { kind: "completed" };
  // One that was killed may have left a part of it.
  await git(["reset", "--hard", "--quiet"]);
  const error = await tryTo([], patch);
  if (error) {
    const other = await withOtherEnds(
      patch,
      async (part) => await tryTo(["--check"], part) === undefined,
    );
    if (other === patch || await tryTo([], other)) throw refused(error.message);
  }
  return { kind: "completed" };

  /** Returns why it can't. */
  async function tryTo(
    flags: readonly string[],
    input: string,
  ): Promise<GitError | undefined> {
    const args = ["apply", "--index", "--whitespace=nowarn", ...flags, "-"];
    try {
      await git(args, { input });
      return undefined;
    } catch (error) {
      if (error instanceof GitError) return error;
      throw error;
    }
  }
}
