/**
 * The results of what came before a task, as a file for its program.
 *
 * @module
 */

import { join } from "node:path";
import { messageOf, UserError } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import type { AgentTask, TaskResult } from "../../task/task.ts";
import { removeFolder } from "./folder.ts";
import { resultsText } from "./input.ts";

/** The file; dispose of it when the run is over. */
export interface ResultsFile extends AsyncDisposable {
  readonly path: string;
  /** The variable that names it. */
  readonly env: Readonly<Record<string, string>>;
}

/** What the file is made with. */
export interface ResultsFileOptions {
  readonly task: AgentTask;
  readonly log: Log;
  /**
   * Where it is to be, for a program that may read nothing else; git does not see
   * it there. Default: a temporary folder, so that the program's is as it was.
   */
  readonly folder?: string;
  /** Somebody else may have the folder, where its lease is lost. */
  readonly stop: AbortSignal;
}

/**
 * Writes it, for nobody else to read; undefined where there are no results.
 *
 * @throws {UserError} where it can't be written.
 */
export async function writeResults(
  results: readonly TaskResult[],
  { task, log, folder, stop }: ResultsFileOptions,
): Promise<ResultsFile | undefined> {
  if (results.length === 0) return undefined;
  const options = { taskId: task.id, log };
  try {
    const parent = await make();
    const path = join(parent, "results.json");
    const text = resultsText(results, 2);
    await Deno.writeTextFile(path, `${text}\n`, { mode: 0o600 });
    return {
      path,
      env: { AGENT_RUNNER_RESULTS: path },
      async [Symbol.asyncDispose]() {
        const isOthers = folder !== undefined && stop.reason === "lease lost";
        if (!isOthers) await removeFolder(parent, options);
      },
    };
  } catch (error) {
    throw new UserError(
      `Cannot write the results of what came before: ${messageOf(error)}`,
    );
  }

  async function make(): Promise<string> {
    if (folder === undefined) {
      return await Deno.makeTempDir({ prefix: "agent-runner-" });
    }
    const path = join(folder, `.agent-runner-${task.id}`);
    await removeFolder(path, options); // Of a run that was killed.
    await Deno.mkdir(path, { mode: 0o700 });
    await Deno.writeTextFile(join(path, ".gitignore"), "*\n");
    return path;
  }
}
