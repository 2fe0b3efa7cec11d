/**
 * The folder of a run, whether it is of a repository or not, and what becomes of the
 * work in it.
 *
 * @module
 */

import { resolve } from "node:path";
import type { Outcome } from "../../task/task.ts";
import { WorkspaceError } from "../../workspaces/error.ts";
import {
  review,
  reviewApproved,
  type ReviewOptions,
} from "../../workspaces/review.ts";
import { NO_FOLDER, stateFolder } from "../../workspaces/state_folder.ts";
import { openWorkspace } from "../../workspaces/open.ts";
import { namesOf } from "../../workspaces/names.ts";
import type {
  ProgramEnd,
  Reviewed,
  Workspace,
} from "../../workspaces/workspace.ts";
import { RunError } from "../task_runs.ts";
import type { FolderConfig } from "./config.ts";
import { openFolder, type RunFolder } from "./folder.ts";
import { runCheck, type RunParts, shownCheck } from "./verify.ts";

/**
 * Opens the folder of a run.
 *
 * @throws {UserError} where there is none, or none can be made.
 */
export async function openRunFolder(
  config: FolderConfig,
  parts: RunParts,
): Promise<RunFolder> {
  const { workspace, ...rest } = config;
  const { task, context, programs, surroundings, stop } = parts;
  if (typeof workspace !== "object") {
    return await openFolder(task.id, { ...rest, workspace }, programs.parts);
  }
  const { baseFolder, variable, host, log } = programs.parts;
  const folder = workspace.folder ?? stateFolder(variable);
  if (folder === undefined) {
    throw new RunError(NO_FOLDER, { retryable: false, isUnbegun: true });
  }
  const git = await asRunError(() =>
    openWorkspace(task, workspace, {
      baseFolder,
      folder: resolve(baseFolder, folder),
      host: host(),
      trace: context.trace,
      note: (kind, detail, kept) => context.note(kind, detail, kept),
      progress: (message) => context.progress(message),
      run: (words, folder, env) =>
        runCheck(words, folder, {
          ...parts,
          surroundings: {
            ...surroundings,
            env: { ...surroundings.env, ...env },
          },
        }),
      env: surroundings.env,
      stop,
      log,
    })
  );
  return {
    path: git.path,
    isNew: git.isNew,
    git,
    close: (end) => git.close({ isLost: end === "lost" }),
  };
}

/**
 * Checks the work in a folder. What that changes in a repository's is put back: it is
 * none of the work. A check that passes is noted.
 *
 * @throws {UserError} where it can't be started.
 */
export async function checkWork(
  verify: readonly string[],
  { path, git }: Pick<RunFolder, "path" | "git">,
  parts: RunParts,
): Promise<ProgramEnd> {
  const run = () => runCheck(verify, path, parts);
  const { end, paths } = git
    ? await git.puttingBack(run)
    : { end: await run(), paths: [] };
  if (end.hasPassed) {
    const changed = paths.length === 0
      ? ""
      : `, and what it changed was put back: ${namesOf(paths)}`;
    parts.context.note("checked", `\`${shownCheck(verify)}\` passed${changed}`);
  }
  return end;
}

/** What of a run follows its work in a repository. */
export type SettleParts = RunParts & {
  readonly verify: readonly string[] | undefined;
};

/**
 * What becomes of work that is done and has passed its check: it is brought to its
 * branch, and that is looked at.
 *
 * @throws {RunError} where that needs a person.
 */
export async function settle(
  git: Workspace,
  outcome: Outcome,
  parts: SettleParts,
): Promise<Reviewed> {
  return await asRunError(async () => {
    const finished = await git.finish(outcome);
    return "because" in finished
      ? finished
      : await review(git, finished.outcome, optionsOf(parts));
  });
}

/** What follows at once, where the work was done before and is approved by now. */
export async function settleApproved(
  git: Workspace,
  parts: SettleParts,
): Promise<Reviewed | undefined> {
  return await asRunError(() => reviewApproved(git, optionsOf(parts)));
}

function optionsOf({ verify, ...parts }: SettleParts): ReviewOptions {
  const { task, context, stop } = parts;
  return {
    task,
    trace: context.trace,
    verify: verify && (async (folder) => {
      const name = shownCheck(verify);
      const end = await runCheck(verify, folder, parts);
      const output = `\`${name}\`: ${end.output}`;
      if (end.hasPassed) {
        context.note("checked", `\`${name}\` passed on what is merged`);
      } else if (!end.isStopped) context.note("check_failed", output);
      return { ...end, output };
    }),
    stop,
  };
}

/** What a run makes of an error of a workspace. */
async function asRunError<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof WorkspaceError)) throw error;
    const { message, retryable, isUnbegun } = error;
    throw new RunError(message, { retryable, isUnbegun, cause: error });
  }
}
