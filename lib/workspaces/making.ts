/**
 * Makes a task's worktree, or its clone, and its branch; what was half made by a run
 * that was killed, is made again.
 *
 * @module
 */

import { basename, dirname, join } from "node:path";
import { systemClock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import {
  beginOf,
  branchOf,
  type BranchParts,
  isTaken,
  isThereAlready,
  makeBranch,
} from "./branch.ts";
import { assertRoom, isLimited } from "./room.ts";
import { folderError, unbegun, WorkspaceError } from "./error.ts";
import { commitOf } from "./commits.ts";
import { git, type GitOptions, runGit } from "./git.ts";
import { lock } from "./lock.ts";
import { filled } from "./names.ts";
import {
  isThere,
  removeIfThere,
  removeRecord,
  type WorkspaceRecord,
  writeRecord,
} from "./record.ts";
import {
  assertOutside,
  findBase,
  findCloneBase,
  findRepository,
  isAddress,
  type Repository,
} from "./repository.ts";

/** What a folder is made with. */
export interface MakingParts extends BranchParts {
  /** Paths of the configuration start here. */
  readonly baseFolder: string;
  readonly signal: AbortSignal;
  readonly log: Log;
}

/**
 * Makes it. Its record says that it is made when it is whole.
 *
 * @throws {WorkspaceError} where that can't be.
 */
export async function make(
  folder: string,
  parts: MakingParts,
): Promise<WorkspaceRecord> {
  const { config, task, record, baseFolder, signal } = parts;
  const given = filled(task.workspace?.repo ?? config.git, task);
  if (record) await clear(folder, record, signal);
  else if (await isThere(folder)) {
    throw unbegun(
      `Cannot make a worktree at ${folder}: something else is there. Move it ` +
        "away.",
    );
  }
  try {
    const repository = isAddress(given)
      ? undefined
      : await findRepository(given, baseFolder);
    if (repository) await assertOutside(repository, dirname(folder));
    const repo = repository?.path ?? given;
    const began: WorkspaceRecord = {
      task: task.id,
      repo,
      gitDir: "",
      commonDir: repository?.commonDir ?? "",
      isClone: false,
      branch: await branchOf(parts, repo, { cwd: baseFolder }),
      base: "",
      baseCommit: "",
      copied: [],
      isMade: false,
      isSetUp: false,
    };
    return repository && config.mode === "worktree"
      ? await makeWorktree(folder, began, { ...parts, repository })
      : await makeClone(folder, began, { ...parts, repository });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof WorkspaceError) throw error;
    throw unbegun(
      `Cannot make a worktree at ${folder}: ${folderError(error)}`,
      error,
    );
  }
}

/** For so long a git that has lost its runner may go on to write. */
const CLEAR_TRIES = 50;
const CLEAR_AGAIN_MS = 100;

/** Removes what was half made. Nobody has been at work there. */
async function clear(
  folder: string,
  { isClone, commonDir, gitDir }: WorkspaceRecord,
  signal: AbortSignal,
): Promise<void> {
  for (let tries = 1;; tries++) {
    try {
      await removeIfThere(folder);
      break;
    } catch (error) {
      if ((error as { code?: string }).code !== "ENOTEMPTY") throw error;
      if (tries > CLEAR_TRIES) {
        throw unbegun(
          `Cannot make ${folder} again: another program writes there.`,
          error,
        );
      }
    }
    // The git of a run that was killed has not ended yet.
    await systemClock.sleep(CLEAR_AGAIN_MS, signal);
    signal.throwIfAborted();
  }
  if (!isClone) await removeAdmin(folder, commonDir, gitDir);
}

/**
 * Removes what git keeps of a worktree that is gone: of this one only, for others
 * may be on a disk that is not there just now.
 */
export async function removeAdmin(
  folder: string,
  commonDir: string,
  gitDir: string,
): Promise<void> {
  const worktrees = join(commonDir, "worktrees");
  const ours = gitDir === "" ? join(worktrees, basename(folder)) : gitDir;
  let names: string | undefined;
  try {
    names = (await Deno.readTextFile(join(ours, "gitdir"))).trim();
  } catch (error) {
    // It was killed before it wrote that.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  if (names !== undefined && names !== join(folder, ".git")) return;
  await removeIfThere(ours);
}

/** From here on it counts. Those that begin at the same time are counted in turn. */
async function begin(
  folder: string,
  began: WorkspaceRecord,
  { record, config, log, signal }: MakingParts,
): Promise<void> {
  const parent = dirname(folder);
  using _lock = record || !isLimited(config)
    ? undefined
    : await lock(join(parent, "room.lock"), signal);
  if (!record) await assertRoom(parent, config, log);
  await writeRecord(folder, began);
}

async function makeWorktree(
  folder: string,
  begun: WorkspaceRecord,
  { repository, ...parts }: MakingParts & { readonly repository: Repository },
): Promise<WorkspaceRecord> {
  const { config, task, signal } = parts;
  const { branch, commonDir } = begun;
  const options = { cwd: commonDir, signal };
  const base = await findBase(repository, {
    ...config,
    base: task.workspace?.base ?? config.base,
    taskId: task.id,
    signal,
  });
  const began = { ...begun, base: base.name, baseCommit: base.commit };
  const isOld = await isThereAlready(began, parts, options);
  await begin(folder, began, parts);
  try {
    if (!isOld) await makeBranch(began, options);
  } catch (error) {
    if (!parts.record) await removeRecord(folder);
    throw error;
  }
  const baseCommit = isOld ? await beginOf(began, parts, options) : base.commit;
  await git(
    ["worktree", "add", "--quiet", "--end-of-options", folder, branch],
    options,
  );
  const gitDir = await git(
    ["rev-parse", "--absolute-git-dir"],
    { ...options, cwd: folder },
  );
  return { ...began, baseCommit, gitDir };
}

async function makeClone(
  folder: string,
  begun: WorkspaceRecord,
  { repository, ...parts }: MakingParts & {
    readonly repository: Repository | undefined;
  },
): Promise<WorkspaceRecord> {
  const { config, task, baseFolder, signal } = parts;
  const { remote } = config;
  const { repo, branch } = begun;
  const gitDir = join(folder, ".git");
  const began = { ...begun, commonDir: gitDir, gitDir, isClone: true };
  await begin(folder, began, parts);
  const args = ["--quiet", "--no-checkout", `--origin=${remote}`];
  await git(["clone", ...args, "--end-of-options", repo, folder], {
    cwd: baseFolder,
    signal,
  });
  const options = { cwd: folder, signal };
  const base = await findCloneBase(repo, {
    base: task.workspace?.base ?? config.base,
    remote,
  }, options);
  if (repository) await takeSettings(repository, gitDir, options);
  const pushed = await commitOf(`refs/remotes/${remote}/${branch}`, options);
  if (pushed && parts.known?.branch !== branch) throw isTaken(branch, repo);
  const start = pushed ?? base.commit;
  await git(
    ["checkout", "--quiet", "--no-track", "-B", branch, start],
    options,
  );
  return { ...began, base: base.name, baseCommit: base.commit };
}

/** Of the repository's own, a clone gets nothing by itself. */
async function takeSettings(
  { path, commonDir }: Repository,
  gitDir: string,
  options: GitOptions,
): Promise<void> {
  for (const name of ["user.name", "user.email"]) {
    const args = ["config", "--local", "--get", name];
    const { code, stdout } = await runGit(args, { ...options, cwd: path });
    if (code === 0) await git(["config", name, stdout.trim()], options);
  }
  // What the user's own git passes over there.
  const exclude = "info/exclude";
  if (!await isThere(join(commonDir, exclude))) return;
  await Deno.mkdir(join(gitDir, "info"), { recursive: true });
  await Deno.copyFile(join(commonDir, exclude), join(gitDir, exclude));
}
