/**
 * Work in a task's folder that is done by one program, or none: what goes before and
 * after it.
 *
 * @module
 */

import type { Outcome } from "../../task/task.ts";
import type { Reviewed, Workspace } from "../../workspaces/workspace.ts";
import { STOPPED } from "../task_runs.ts";
import type { FolderConfig } from "./config.ts";
import type { FolderEnd, RunFolder } from "./folder.ts";
import {
  checkWork,
  openRunFolder,
  settle,
  settleApproved,
} from "./run_folder.ts";
import { type RunParts, shownCheck } from "./verify.ts";

/** Does the work in a folder. */
export type Work = (folder: RunFolder) => Promise<Outcome>;

/**
 * Opens the folder of a run, has the work done there, and closes it. Work in a
 * repository is checked, and comes to its branch.
 */
export async function workIn(
  config: FolderConfig,
  parts: RunParts,
  work: Work,
): Promise<Outcome> {
  const folder = await openRunFolder(config, parts);
  let outcome = STOPPED;
  try {
    outcome = folder.git
      ? await workOn(folder.git, parts, () => work(folder))
      : await work(folder);
    return outcome;
  } finally {
    await folder.close(folderEnd(outcome, parts.stop));
  }
}

async function workOn(
  git: Workspace,
  parts: RunParts,
  work: () => Promise<Outcome>,
): Promise<Outcome> {
  const { verify } = git.config;
  const settled = await settleApproved(git, { ...parts, verify });
  if (settled) return outcomeOf(settled);
  const outcome = await work();
  if (outcome.kind !== "completed") return outcome;
  if (verify) {
    const name = shownCheck(verify);
    parts.context.progress(`Checks the work: ${name}`);
    const check = await checkWork(verify, { path: git.path, git }, parts);
    if (check.isStopped) return STOPPED;
    if (!check.hasPassed) {
      const error = `\`${name}\` failed: ${check.output}`;
      parts.context.note("check_failed", error);
      return { kind: "failed", error, retryable: true };
    }
  }
  return outcomeOf(await settle(git, outcome, { ...parts, verify }));
}

/** There is nobody who could be told what is not done. */
function outcomeOf(reviewed: Reviewed): Outcome {
  if ("outcome" in reviewed) return reviewed.outcome;
  const { because, orElse } = reviewed;
  return orElse ?? { kind: "failed", error: because, retryable: true };
}

function folderEnd(outcome: Outcome, stop: AbortSignal): FolderEnd {
  if (stop.reason === "lease lost") return "lost";
  if (outcome.kind === "completed") return "completed";
  return outcome.kind === "needs_input" || outcome.kind === "limited" ||
      stop.reason === "shutdown"
    ? "goes on"
    : "failed";
}
