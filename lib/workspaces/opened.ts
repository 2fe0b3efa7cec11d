/**
 * A task's workspace while a run is at work there.
 *
 * @module
 */

import type { Log } from "../base/log.ts";
import type {
  AgentTask,
  JsonObject,
  Outcome,
  RunNoteKind,
} from "../task/task.ts";
import type { TaskWorkspace } from "../task/workspace.ts";
import type { WorkspaceConfig } from "./config.ts";
import { ignoredIn } from "./commits.ts";
import { copiedFrom, copyInto } from "./copied.ts";
import { WorkspaceError } from "./error.ts";
import { assertIdentity, finish } from "./finish.ts";
import { git, GitError, type GitOptions } from "./git.ts";
import { puttingBack } from "./put_back.ts";
import { type WorkspaceRecord, writeRecord } from "./record.ts";
import { shownBase } from "./shown_facts.ts";
import type {
  Finished,
  NoteTaker,
  ProgramEnd,
  PutBack,
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

/** How it was opened. */
export interface Opening {
  readonly task: AgentTask;
  readonly config: WorkspaceConfig;
  readonly parts: WorkspaceParts;
  readonly known: TaskWorkspace | undefined;
  readonly isNew: boolean;
  readonly lock: Disposable;
}

/** See above. */
export class OpenedWorkspace implements Workspace {
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
    const { baseFolder, note, progress, log } = parts;
    if (config.uncommitted === "commit") await assertIdentity(this);
    if (isNew) {
      const { copy } = config;
      const { repo } = this.#record;
      const missing = await copyInto(this.path, copy, {
        from: await copiedFrom(repo, baseFolder),
      });
      for (const it of missing) {
        const message = `Not copied: ${it} is not there`;
        progress(message);
        const { id } = this.#opening.task;
        log.warning(`Task ${id}: ${message}`, {
          event: "not_copied",
          task: id,
          path: it,
        });
      }
      // Also what is made there later is no part of the work.
      await this.#keep({ ...this.#record, copied: copy, isMade: true });
    }
    if (isNew || !this.#opening.known) {
      const { branch, base, baseCommit } = this.#facts;
      note(
        "workspace",
        `${branch}, from ${shownBase(base)} at ${
          baseCommit.slice(0, 7)
        }, in ${this.path}`,
        { workspace: this.#facts },
      );
    }
    if (this.#record.task !== this.#opening.task.id) {
      await this.#keep({ ...this.#record, task: this.#opening.task.id });
    }
    if (this.#record.isSetUp) return;
    const before = config.setup && new Set(await ignoredIn(this.options));
    await this.#setUp(this.path);
    const made = before && (await ignoredIn(this.options))
      .filter((it) => !before.has(it));
    const ignored = [...this.#record.ignored ?? [], ...made ?? []];
    await this.#keep({ ...this.#record, ignored, isSetUp: true });
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

  puttingBack<T>(work: () => Promise<T>): Promise<PutBack<T>> {
    return puttingBack(this, this.#record.copied, work);
  }

  async finish(outcome: Outcome): Promise<Finished> {
    const { task } = this.#opening;
    const { copied } = this.#record;
    const reviewed = await finish(this, outcome, { task, copied });
    return { ...reviewed, facts: this.#facts };
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
    parts.log.warning(message, {
      event: "cleanup_failed",
      task: id,
      path: this.path,
    });
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
