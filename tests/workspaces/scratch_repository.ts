/**
 * A repository in a temporary folder, as a user has one.
 *
 * @module
 */

import { assertEquals } from "@std/assert";

/** Whose commits they are. */
const SOMEBODY = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"];

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
    Deno.mkdirSync(this.path);
    this.git("init", "-q", "-b", "main");
    this.git("config", "user.name", "Ada");
    this.git("config", "user.email", "ada@example.org");
    this.commit("a.txt", "one\n");
  }

  /** What git prints in the user's checkout, where it succeeds. */
  git(...args: string[]): string {
    return gitIn(this.path, ...args);
  }

  /** Commits a file, where HEAD is. */
  commit(name: string, text: string, cwd = this.path): string {
    Deno.writeTextFileSync(`${cwd}/${name}`, text);
    gitIn(cwd, "add", name);
    gitIn(cwd, "commit", "-q", "-m", `Change ${name}`);
    return gitIn(cwd, "rev-parse", "HEAD");
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

/** What git prints in a folder, where it succeeds. */
export function gitIn(cwd: string, ...args: string[]): string {
  const { code, stdout, stderr } = new Deno.Command("git", {
    args: [...SOMEBODY, ...args],
    cwd,
    env: { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" },
  }).outputSync();
  const text = new TextDecoder();
  assertEquals(code, 0, `git ${args.join(" ")}: ${text.decode(stderr)}`);
  return text.decode(stdout).trim();
}
