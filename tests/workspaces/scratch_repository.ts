/**
 * A repository in a temporary folder, as a user has one.
 *
 * @module
 */

import { commitAll, gitIn, makeRepository } from "../support/repository.ts";

/** See above. Dispose of it to remove it. */
export class ScratchRepository implements Disposable {
  /** The folder that has all of it. */
  readonly folder = Deno.realPathSync(
    Deno.makeTempDirSync({ prefix: "agent-runner-repo-" }),
  );
  /** The user's checkout: on `main`, with one commit of `a.txt`. */
  readonly path = `${this.folder}/the répo`;
  /** Where tasks have their folders. */
  readonly tasks = `${this.folder}/tasks`;

  constructor() {
    const message = "Change a.txt";
    makeRepository(this.path, { "a.txt": "one\n" }, { message });
  }

  /** What git prints in the user's checkout, where it succeeds. */
  git(...args: string[]): string {
    return gitIn(this.path, ...args);
  }

  /** Commits a file, where HEAD is. */
  commit(name: string, text: string, cwd = this.path): string {
    Deno.writeTextFileSync(`${cwd}/${name}`, text);
    return commitAll(cwd, `Change ${name}`);
  }

  /** A branch with a commit of a file, in a worktree as a task has it. */
  branch(name: string, file: string, text: string): string {
    const path = `${this.tasks}/${name.replaceAll("/", "-")}`;
    this.git("worktree", "add", "-q", "-b", name, path, "main");
    return this.commit(file, text, path);
  }

  /** The last commit of a branch, by another author and with another message. */
  amend(
    name: string,
    { author, message }: { readonly author: string; readonly message: string },
  ): string {
    const path = `${this.tasks}/${name.replaceAll("/", "-")}`;
    const args = ["--amend", "-q", `--author=${author}`, "--cleanup=verbatim"];
    gitIn(path, "commit", ...args, "-m", message);
    return gitIn(path, "rev-parse", "HEAD");
  }

  /** A bare repository that is its `origin`. */
  origin(): string {
    const path = `${this.folder}/origin.git`;
    gitIn(this.folder, "clone", "-q", "--bare", this.path, path);
    this.git("remote", "add", "origin", path);
    return path;
  }

  /** The subjects of the commits of a branch, the latest first. */
  log(ref = "main", ...args: string[]): string[] {
    return this.git("log", "--format=%s", ...args, ref).split("\n");
  }

  /** Everything in the user's checkout, with its index, as they are on the disk. */
  checkout(): Record<string, string> {
    const found: Record<string, string> = {};
    for (const { name, isFile } of Deno.readDirSync(this.path)) {
      if (isFile) found[name] = Deno.readTextFileSync(`${this.path}/${name}`);
    }
    const git = `${this.path}/.git`;
    found.index = Deno.readFileSync(`${git}/index`).toHex();
    found.HEAD = Deno.readTextFileSync(`${git}/HEAD`);
    found.config = Deno.readTextFileSync(`${git}/config`);
    found.stashes = this.git("stash", "list");
    return found;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.folder, { recursive: true });
  }
}
