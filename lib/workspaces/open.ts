/**
 * Opens the repository's folder of a task, whatever an earlier run has left of it.
 *
 * @module
 */

import { join, resolve } from "node:path";
import { systemClock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type {
  AgentTask,
  Approval,
  JsonObject,
  Outcome,
  RunNoteKind,
} from "../task/task.ts";
import { type TaskWorkspace, taskWorkspaceOf } from "../task/workspace.ts";
import type { WorkspaceConfig } from "./config.ts";
import { folderError, unbegun, WorkspaceError } from "./error.ts";
import { assertIdentity, finish } from "./finish.ts";
import { copyInto } from "./copied.ts";
import { git, GitError, type GitOptions } from "./git.ts";
import { tryLock } from "./lock.ts";
import { make } from "./making.ts";
import {
  isFolderIn,
  isThere,
  lockPath,
  readRecord,
  recordPath,
  removeIfThere,
  type WorkspaceRecord,
  writeRecord,
} from "./record.ts";
import type {
  Finished,
  NoteTaker,
  ProgramEnd,
  Workspace,
} from "./workspace.ts";

/** What a workspace is opened with. */
export interface WorkspaceParts {
  /** Paths of the configuration start here. */
  readonly baseFolder: string;
  /** Below this, each task has its folder. */
  readonly folder: string;
  /** The name of this machine. */
  readonly host: string;
  /** The task's trace. */
  readonly trace: JsonObject;
  readonly note: NoteTaker;
  readonly progress: (message: string) => void;
  /** Runs a program of the user's in a folder, as the task's own are run. */
  readonly run: (
    words: readonly string[],
    folder: string,
    env: Readonly<Record<string, string>>,
  ) => Promise<ProgramEnd>;
  /** What the task's programs are given: git's hooks and filters get the same. */
  readonly env: Readonly<Record<string, string>>;
  /** Aborts when the run must stop. */
  readonly stop: AbortSignal;
  readonly log: Log;
}

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
  { task, gitDir, isClone }: WorkspaceRecord,
): Promise<void> {
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

/** How it was opened. */
interface Opening {
  readonly task: AgentTask;
  readonly config: WorkspaceConfig;
  readonly parts: WorkspaceParts;
  readonly known: TaskWorkspace | undefined;
  readonly isNew: boolean;
  readonly lock: Disposable;
}

class OpenedWorkspace implements Workspace {
  readonly path: string;
  readonly isNew: boolean;
  readonly config: WorkspaceConfig;
  readonly #opening: Opening;
  #record: WorkspaceRecord;
  #facts: TaskWorkspace;

  constructor(path: string, opening: Opening, record: WorkspaceRecord) {
    const { known, isNew, config, parts: { host } } = opening;
    this.path = path;
    this.isNew = isNew;
    this.config = config;
    this.#opening = opening;
    this.#record = record;
    const { repo, branch, base, baseCommit } = record;
    const isSame = known?.branch === branch && known.repo === repo;
    this.#facts = {
      ...isSame ? known : { baseCommit },
      repo,
      host,
      path,
      branch,
      base,
    };
  }

  get isClone(): boolean {
    return this.#record.isClone;
  }

  get facts(): TaskWorkspace {
    return this.#facts;
  }

  get gitDir(): string {
    return this.#record.gitDir;
  }

  get options(): GitOptions {
    const { parts: { stop, env } } = this.#opening;
    return {
      cwd: this.path,
      surroundings: env,
      env: { GIT_DIR: this.gitDir, GIT_WORK_TREE: this.path },
      signal: stop,
    };
  }

  get env(): Readonly<Record<string, string>> {
    const { repo, branch, base } = this.#facts;
    return {
      AGENT_TASK_REPO: repo,
      AGENT_TASK_BRANCH: branch,
      AGENT_TASK_BASE: base,
    };
  }

  /** Gives it what it needs, and says that it is there. */
  async begin(): Promise<void> {
    const { config, isNew, parts } = this.#opening;
    const { baseFolder, note, progress } = parts;
    if (config.uncommitted === "commit") await assertIdentity(this);
    if (isNew) {
      const { copy } = config;
      const { repo } = this.#record;
      const missing = await copyInto(this.path, copy, {
        // An address has none, and neither has a bare repository.
        from: await isThere(join(repo, ".git")) ? repo : baseFolder,
      });
      for (const it of missing) progress(`Not copied: ${it} is not there`);
      // Also what is made there later is no part of the work.
      await this.#keep({ ...this.#record, copied: copy, isMade: true });
    }
    if (isNew || !this.#opening.known) {
      const { branch, base, baseCommit } = this.#facts;
      note(
        "workspace",
        `${branch}, from ${base} at ${baseCommit.slice(0, 7)}, in ${this.path}`,
        { workspace: this.#facts },
      );
    }
    if (this.#record.task !== this.#opening.task.id) {
      await this.#keep({ ...this.#record, task: this.#opening.task.id });
    }
    if (this.#record.isSetUp) return;
    await this.#setUp(this.path);
    await this.#keep({ ...this.#record, isSetUp: true });
  }

  readonly git: Workspace["git"] = async (args, options = {}) => {
    const { stop } = this.#opening.parts;
    stop.throwIfAborted();
    try {
      return await git(args, { ...this.options, ...options });
    } catch (error) {
      if (error instanceof GitError) stop.throwIfAborted();
      throw error;
    }
  };

  async finish(outcome: Outcome): Promise<Finished> {
    const { task, parts: { note } } = this.#opening;
    const { copied } = this.#record;
    const finished = await finish(this, outcome, { task, note, copied });
    this.#facts = finished.facts;
    return finished;
  }

  async approvedHead({ at, head }: Approval): Promise<string | undefined> {
    const { approved, branch } = this.#record;
    if (approved?.at === at) return approved.head;
    // A run has gone on since that was asked.
    if (this.#facts.head !== head) return head;
    const tip = await this.git(["rev-parse", `refs/heads/${branch}`]);
    await this.#keep({ ...this.#record, approved: { at, head: tip } });
    return tip;
  }

  note(kind: RunNoteKind, detail: string, facts: TaskWorkspace): void {
    this.#facts = facts;
    this.#opening.parts.note(kind, detail, { workspace: facts });
  }

  async prepare(folder: string): Promise<void> {
    await copyInto(folder, this.#record.copied, { from: this.path });
    await this.#setUp(folder);
  }

  async close({ isLost } = { isLost: false }): Promise<void> {
    using _lock = this.#opening.lock;
    const { config: { cleanup }, parts } = this.#opening;
    if (!cleanup || isLost || parts.stop.aborted) return;
    await this.#keep({ ...this.#record, isSetUp: false });
    const { hasPassed, output } = await parts.run(cleanup, this.path, this.env);
    if (hasPassed) return;
    const { id } = this.#opening.task;
    const message = `Task ${id}: its folder could not be cleaned up: ${output}`;
    const event = "cleanup_failed";
    parts.log.warning(message, { event, task: id, path: this.path });
  }

  async #setUp(folder: string): Promise<void> {
    const { config: { setup }, parts } = this.#opening;
    if (!setup) return;
    parts.progress(`Sets up the folder: ${setup.join(" ")}`);
    const end = await parts.run(setup, folder, this.env);
    parts.stop.throwIfAborted();
    if (end.hasPassed) return;
    throw new WorkspaceError(
      `Cannot set up ${folder}: ${setup.join(" ")} failed: ${end.output}`,
      { retryable: true },
    );
  }

  async #keep(record: WorkspaceRecord): Promise<void> {
    this.#record = record;
    await writeRecord(this.path, record);
  }
}
