/**
 * The repository's folder of one task: its worktree, or its clone, on a branch of
 * its own, which all its runs find again.
 *
 * @module
 */

import type { Outcome, RunNoteKind } from "../task/task.ts";
import type { TaskWorkspace } from "../task/workspace.ts";
import type { WorkspaceConfig } from "./config.ts";
import type { GitOptions } from "./git.ts";

/** Puts into a task's history what happens. */
export type NoteTaker = (
  kind: RunNoteKind,
  detail: string,
  kept?: { readonly workspace?: TaskWorkspace },
) => void;

/** How a program of the user's ended. */
export interface ProgramEnd {
  readonly hasPassed: boolean;
  readonly isStopped: boolean;
  /** What it printed, and how it ended. */
  readonly output: string;
}

/** What is to follow. */
export type Reviewed =
  /** The run ends with this. */
  | { readonly outcome: Outcome }
  | {
    /** The work is not done, for what is said: for the agent, or for people. */
    readonly because: string;
    /** How the run ends where no agent is there, or it was told so before. */
    readonly orElse?: Outcome;
  };

/** What came of the branch, and of the outcome; or why the work is not done. */
export type Finished = Reviewed & { readonly facts: TaskWorkspace };

/** How work in a folder ended that was to change nothing there. */
export interface PutBack<T> {
  readonly end: T;
  /** The files that it changed. */
  readonly paths: readonly string[];
}

/** See above. Of its calls, each throws the reason of `stop` once that aborts. */
export interface Workspace {
  readonly path: string;
  /** It was not there before. */
  readonly isNew: boolean;
  /** It is a clone, with all of a repository in it, and no worktree of one. */
  readonly isClone: boolean;
  readonly config: WorkspaceConfig;
  /** What is known so far. */
  readonly facts: TaskWorkspace;
  /** The git folder of the worktree, whatever its `.git` says by now. */
  readonly gitDir: string;
  /** What {@linkcode git} runs with. */
  readonly options: GitOptions;
  /** What its programs are told of it. */
  readonly env: Readonly<Record<string, string>>;
  /**
   * Runs git in the worktree.
   *
   * @throws {GitError} where it fails.
   */
  readonly git: (
    args: readonly string[],
    options?: Pick<GitOptions, "input" | "hasHooks">,
  ) => Promise<string>;
  /** Does something in the folder, and puts back what it changes there. */
  puttingBack<T>(work: () => Promise<T>): Promise<PutBack<T>>;
  /**
   * Brings the work to its branch, when it is done and has passed its check. The
   * facts are those of its end then.
   */
  finish(outcome: Outcome): Promise<Finished>;
  /** What a change of the facts says is kept with the task. */
  note(kind: RunNoteKind, detail: string, facts: TaskWorkspace): void;
  /** Copies and sets up in another worktree what this one has. */
  prepare(folder: string): Promise<void>;
  /** Cleans up, where that is configured, and lets others work there. */
  close(end?: { readonly isLost: boolean }): Promise<void>;
}
