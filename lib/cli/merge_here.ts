/**
 * Opens the workspace of a task on this machine for a person, as its provider would.
 *
 * @module
 */

import { dirname, resolve } from "node:path";
import { UserError } from "../base/errors.ts";
import type { ProcessorContext } from "../processors/processor.ts";
import { Programs } from "../processors/command/programs.ts";
import { openRunFolder } from "../processors/command/run_folder.ts";
import { runCheck, type RunParts } from "../processors/command/verify.ts";
import type { AgentTask } from "../task/task.ts";
import { answersOf, parseTrace } from "../task/trace.ts";
import {
  amendedFacts,
  type Amendment,
  AMENDMENTS,
  type TaskWorkspace,
} from "../task/workspace.ts";
import { commitOf } from "../workspaces/commits.ts";
import { leftIn } from "../workspaces/left.ts";
import { isFolder } from "../workspaces/git.ts";
import type { MergingOptions } from "../workspaces/merging.ts";
import { readRecord } from "../workspaces/record.ts";
import type { Workspace } from "../workspaces/workspace.ts";
import type { CommandContext } from "./command.ts";

export { GitError } from "../workspaces/git.ts";
export { count } from "../workspaces/finish.ts";
export { namesOf } from "../workspaces/names.ts";
export {
  hasBase,
  howToJoin,
  mergeWorkspace,
  requestPull,
} from "../workspaces/merging.ts";

/** The workspace of a task, and what its branch is merged with. */
export interface MergeHere {
  readonly workspace: Workspace;
  readonly options: MergingOptions;
  /** What was noted of it, to be kept with the task. */
  readonly amendments: readonly Amendment[];
}

/** What the configuration says of a task's provider. */
export function providerOf(
  { provider }: AgentTask,
  { providers }: CommandContext["config"],
) {
  const { options } = providers?.get(provider) ?? providers?.get("*") ?? {};
  return options && "workspace" in options &&
      typeof options.workspace === "object"
    ? { ...options, workspace: options.workspace }
    : undefined;
}

/**
 * Calls `work` with the workspace of a task.
 *
 * @throws {UserError} where its provider has no repository in the configuration.
 */
export async function withWorkspace<T>(
  task: AgentTask,
  { config, clock, log, stop }:
    & Pick<CommandContext, "config" | "clock" | "log">
    & { readonly stop: AbortSignal },
  work: (here: MergeHere) => Promise<T>,
): Promise<T> {
  const provider = providerOf(task, config);
  if (!provider) {
    throw new UserError(
      `Cannot merge task ${task.id}: the provider ${task.provider} has no ` +
        'repository in the configuration. Give it "workspace": { "git": "…" }.',
    );
  }
  const amendments: Amendment[] = [];
  const context: ProcessorContext = {
    signal: stop,
    idempotencyKey: `${task.id}:merge`,
    trace: parseTrace(task.traceText) ?? {},
    answers: answersOf(parseTrace(task.traceText) ?? {}),
    results: [],
    progress: (message) => log.info(message, { event: "progress" }),
    output: (line) => log.debug(line, { event: "output" }),
    note(noted, detail, { workspace } = {}) {
      const kind = AMENDMENTS.find((it) => it === noted);
      if (!kind) return;
      const changed = workspace && { workspace: amendedFacts(workspace) };
      amendments.push({ kind, detail, ...changed });
    },
  };
  const baseFolder = resolve(dirname(config.configPath ?? ""));
  await using programs = new Programs(provider, { baseFolder, clock, log });
  const parts: RunParts = {
    task,
    context,
    programs,
    surroundings: programs.surroundings(task, context),
    stop,
    idleTimeout: 0,
  };
  const folder = await openRunFolder(provider, parts);
  const { git: workspace } = folder;
  if (!workspace) throw new TypeError("A repository gives a workspace");
  const verify = "verify" in provider && provider.verify
    ? provider.verify
    : provider.workspace.verify;
  try {
    return await work({
      workspace,
      options: {
        task,
        stop,
        verify: verify && ((path) => runCheck(verify, path, parts)),
      },
      amendments,
    });
  } finally {
    await folder.close("goes on");
  }
}

/** What is not committed in a task's folder. */
export async function leftOf({ git, path }: Workspace): Promise<string[]> {
  return await leftIn(git, (await readRecord(path))?.copied ?? []);
}

/** The commit that a task's branch has now; undefined where it is gone. */
export async function tipOf(
  { branch, path, repo }: TaskWorkspace,
): Promise<string | undefined> {
  for (const cwd of [path, repo]) {
    // The folder was removed, or the repository is an address.
    if (!await isFolder(cwd)) continue;
    const tip = await commitOf(`refs/heads/${branch}`, { cwd });
    if (tip !== undefined) return tip;
  }
  return undefined;
}
