/**
 * Opens the repository's folder of a task, whatever an earlier run has left of it.
 *
 * @module
 */

import { join, resolve } from "node:path";
import { systemClock } from "../base/clock.ts";
import type { AgentTask } from "../task/task.ts";
import { type TaskWorkspace, taskWorkspaceOf } from "../task/workspace.ts";
import type { WorkspaceConfig } from "./config.ts";
import { commitOf } from "./commits.ts";
import { folderError, unbegun } from "./error.ts";
import { git } from "./git.ts";
import { tryLock } from "./lock.ts";
import { make } from "./making.ts";
import { OpenedWorkspace, type WorkspaceParts } from "./opened.ts";
import {
  isFolderIn,
  isThere,
  lockPath,
  readRecord,
  recordPath,
  removeIfThere,
  type WorkspaceRecord,
} from "./record.ts";
import { sparseArgs } from "./staging.ts";
import type { Workspace } from "./workspace.ts";

/**
 * Opens the workspace of a task; makes it, where there is none yet.
 *
 * @throws {WorkspaceError} where that can't be.
 */
export async function openWorkspace(
  task: AgentTask,
  config: WorkspaceConfig,
  parts: WorkspaceParts,
): Promise<Workspace> {
  const taken = await takeFolder(task, parts);
  const { path, known, lock } = taken;
  try {
    const record = await readRecord(path);
    const isNew = !record?.isMade;
    const opening = { task, config, parts, known, isNew, lock };
    if (!isNew) {
      await assertWhole(path, record);
      await removeLocks(record, parts.stop);
    }
    const made = isNew
      ? await make(path, { ...parts, ...opening, record, signal: parts.stop })
      : record;
    const opened = new OpenedWorkspace(path, opening, made);
    await opened.begin();
    return opened;
  } catch (error) {
    if (!await isThere(recordPath(path))) await removeIfThere(lockPath(path));
    lock[Symbol.dispose]();
    throw error;
  }
}

/** A task's folder, in which nobody else works until the lock is let go of. */
interface TakenFolder {
  readonly path: string;
  /** What is known of its branch. */
  readonly known: TaskWorkspace | undefined;
  readonly lock: Disposable;
}

/**
 * A retry finds the folder of the task before, unless another has gone on there
 * meanwhile: that branch is its own now.
 */
async function takeFolder(
  { id }: AgentTask,
  { folder, host, trace }: Pick<WorkspaceParts, "folder" | "host" | "trace">,
): Promise<TakenFolder> {
  const own = resolve(folder, id);
  const known = taskWorkspaceOf(trace);
  const path = known ? resolve(known.path) : own;
  if (!known || path === own) return { path, known, lock: await lockOf(path) };
  if (isFolderIn(folder, path) && await readRecord(path)) {
    const lock = await lockOf(path);
    const task = (await readRecord(path))?.task;
    if (task === id || task === trace.retry_of) return { path, known, lock };
    lock[Symbol.dispose]();
    return { path: own, known: undefined, lock: await lockOf(own) };
  }
  if (known.host === host) return { path: own, known, lock: await lockOf(own) };
  throw unbegun(
    `Cannot go on with ${known.branch}: its worktree is on the machine ` +
      `${known.host}, at ${known.path}. Start a runner there, or push the branch ` +
      "and create another task with it as its base.",
  );
}

async function lockOf(path: string): Promise<Disposable> {
  let lock: Disposable | undefined;
  try {
    lock = await tryLock(lockPath(path));
  } catch (error) {
    throw unbegun(
      `Cannot make a worktree at ${path}: ${folderError(error)}`,
      error,
    );
  }
  if (lock) return lock;
  throw unbegun(
    `Cannot begin: another task, or another run of this one, works in ${path} ` +
      "just now.",
  );
}

/** What was made must not be made again: work may be in it. */
async function assertWhole(
  path: string,
  record: WorkspaceRecord,
): Promise<void> {
  const { task, gitDir, isClone } = record;
  if (!isClone && await isThere(path) && !await isThere(gitDir)) {
    await restoreAdmin(path, record);
  }
  for (const folder of [path, gitDir]) {
    if (await isThere(folder)) continue;
    throw unbegun(
      `Cannot go on in the worktree ${path}: ${folder} is gone. Bring it back; ` +
        "or give that up, and what is left of its work with it: " +
        `agent-runner workspaces ${task.slice(0, 8)} --remove --force`,
    );
  }
  if (isClone) return;
  const link = join(path, ".git");
  if ((await Deno.lstat(link).catch(orUndefined))?.isDirectory) {
    throw unbegun(
      `Cannot go on in the worktree ${path}: it has a repository of its own ` +
        `now, ${link}. Move that away.`,
    );
  }
  // An agent may have written there what leads elsewhere.
  const whole = `gitdir: ${gitDir}\n`;
  if (await Deno.readTextFile(link).catch(orUndefined) === whole) return;
  await Deno.remove(link).catch(orUndefined);
  await Deno.writeTextFile(link, whole);
}

/**
 * Makes again what git keeps of a worktree, which it has pruned while the folder's
 * `.git` was gone. Its files stay as they are.
 */
async function restoreAdmin(
  path: string,
  { gitDir, commonDir, branch }: WorkspaceRecord,
): Promise<void> {
  if (!await isThere(commonDir)) return;
  const options = { cwd: commonDir };
  const ref = `refs/heads/${branch}`;
  const worktrees = await git(["worktree", "list", "--porcelain"], options);
  const isLost = !await commitOf(ref, options) ||
    // Somebody else has it by now.
    worktrees.split("\n").includes(`branch ${ref}`) ||
    // What is not there of a sparse one would be taken for deleted.
    (await sparseArgs(options)).length > 0;
  if (isLost) return;
  await Deno.mkdir(gitDir, { recursive: true });
  const files = {
    commondir: "../..\n",
    gitdir: `${join(path, ".git")}\n`,
    HEAD: `ref: ${ref}\n`,
  };
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(join(gitDir, name), text);
  }
  const env = { GIT_DIR: gitDir, GIT_WORK_TREE: path };
  await git(["reset", "--quiet"], { cwd: path, env });
}

/** A lock that is so old was left by a git that was killed with its run. */
const LOCK_AGE_MS = 5_000;

/**
 * Removes the locks of the task's own worktree and branch that a killed run has left.
 * Whoever works there holds one for a moment only.
 */
async function removeLocks(
  { gitDir, commonDir, branch }: WorkspaceRecord,
  stop: AbortSignal,
): Promise<void> {
  const locks = [
    ...["index", "HEAD", "ORIG_HEAD"].map((it) => join(gitDir, `${it}.lock`)),
    join(commonDir, "refs/heads", `${branch}.lock`),
  ];
  for (const lock of locks) {
    const { mtime } = await Deno.lstat(lock).catch(orUndefined) ?? {};
    if (!mtime) continue;
    const ageMs = Date.now() - mtime.getTime();
    await systemClock.sleep(LOCK_AGE_MS - ageMs, stop);
    stop.throwIfAborted();
    const now = await Deno.lstat(lock).catch(orUndefined);
    if (now?.mtime?.getTime() !== mtime.getTime()) continue;
    await Deno.remove(lock).catch(orUndefined);
  }
}

function orUndefined(error: unknown): undefined {
  const isNone = error instanceof Deno.errors.NotFound ||
    error instanceof Deno.errors.NotADirectory;
  if (!isNone) throw error;
}
