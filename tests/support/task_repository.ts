/**
 * A repository in a temporary folder, and a worktree of it on a branch of its own,
 * as a task has it.
 *
 * @module
 */

import type { TaskWorkspace } from "../../lib/task/workspace.ts";
import {
  commitAll,
  type Files,
  gitIn,
  makeRepository,
  writeFiles,
} from "./repository.ts";

/** The branch of the worktree. */
export const BRANCH = "agent/fix";

/** See the module's description. */
export class TaskRepository implements Disposable {
  /** With a space and more in its path. */
  readonly folder = Deno.realPathSync(
    Deno.makeTempDirSync({ prefix: "agent-runner diff ü-" }),
  );
  readonly repo = `${this.folder}/repo`;
  readonly path = `${this.folder}/work tree`;
  readonly baseCommit: string;

  /** @param files what the first commit has. */
  constructor(files: Files) {
    this.baseCommit = makeRepository(this.repo, files);
    this.git(["worktree", "add", "-q", "-b", BRANCH, this.path], this.repo);
  }

  git(args: readonly string[], cwd: string = this.path): string {
    return gitIn(cwd, ...args);
  }

  write(files: Files, folder: string = this.path): void {
    writeFiles(folder, files);
  }

  /** Commits all there is. Returns the commit. */
  commit(message: string, cwd: string = this.path): string {
    return commitAll(cwd, message);
  }

  /** What a trace says of it. */
  workspace(own: Partial<TaskWorkspace> = {}): TaskWorkspace {
    const { repo, path, baseCommit } = this;
    const known = { repo, host: "here.example", path, branch: BRANCH };
    return { ...known, base: "main", baseCommit, ...own };
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.folder, { recursive: true });
  }
}
