/**
 * A repository in a temporary folder, and a worktree of it on a branch of its own,
 * as a task has it.
 *
 * @module
 */

import { assert } from "@std/assert";
import type { TaskWorkspace } from "../../lib/task/workspace.ts";

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
  constructor(files: Readonly<Record<string, string | Uint8Array>>) {
    Deno.mkdirSync(this.repo);
    this.git(["init", "-q", "-b", "main"], this.repo);
    this.write(files, this.repo);
    this.git(["add", "-A"], this.repo);
    this.commit("First", this.repo);
    this.baseCommit = this.git(["rev-parse", "HEAD"], this.repo);
    this.git(["worktree", "add", "-q", "-b", BRANCH, this.path], this.repo);
  }

  /** Runs git without anybody's settings. */
  git(args: readonly string[], cwd: string = this.path): string {
    const { success, stdout, stderr } = new Deno.Command("git", {
      args: ["-c", "user.name=A", "-c", "user.email=a@b.example", ...args],
      cwd,
      env: { HOME: this.folder, GIT_CONFIG_NOSYSTEM: "1" },
    }).outputSync();
    const text = new TextDecoder();
    assert(success, `git ${args.join(" ")}: ${text.decode(stderr)}`);
    return text.decode(stdout).trimEnd();
  }

  write(
    files: Readonly<Record<string, string | Uint8Array>>,
    folder: string = this.path,
  ): void {
    for (const [name, content] of Object.entries(files)) {
      const path = `${folder}/${name}`;
      Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      if (typeof content === "string") Deno.writeTextFileSync(path, content);
      else Deno.writeFileSync(path, content);
    }
  }

  /** Commits all there is. Returns the commit. */
  commit(message: string, cwd: string = this.path): string {
    this.git(["add", "-A"], cwd);
    this.git(["commit", "-q", "-m", message], cwd);
    return this.git(["rev-parse", "HEAD"], cwd);
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
