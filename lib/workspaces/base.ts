/**
 * The branch that others are merged into: of a repository here, or of the one that
 * was cloned. It only ever moves from the commit that it is known to be at.
 *
 * @module
 */

import { follow, followProblem, type Move } from "./checkouts.ts";
import { commitOf, git, GitError, runGit } from "./git.ts";

/** Where there is no such branch. */
export class NoBaseError extends Error {
  override readonly name = "NoBaseError";
}

/** What came of moving it. */
export type MoveEnd =
  | {
    readonly kind: "moved";
    /** What is left to be done by hand. */
    readonly warning?: string | undefined;
  }
  /** Somebody else has moved it. */
  | { readonly kind: "moved by others" }
  | { readonly kind: "refused"; readonly why: string };

/** A branch that others are merged into. */
export interface Base {
  /**
   * The commit that it is at.
   *
   * @throws {NoBaseError} where there is none.
   */
  tip(): Promise<string>;
  /**
   * Moves it, and names what it is moved to before that.
   *
   * @param move.kept the name
   */
  move(move: BaseMove): Promise<MoveEnd>;
}

/** A move of it. */
export interface BaseMove extends Pick<Move, "from" | "to"> {
  readonly kept: string;
  /** For the branch's log: `merge agent/fix-1234` */
  readonly why: string;
}

/** A base in a repository of this machine. */
export class LocalBase implements Base {
  readonly #repo: string;
  readonly #name: string;

  constructor(repo: string, name: string) {
    this.#repo = repo;
    this.#name = name;
  }

  /** What an earlier move has left undone when it was killed is done first. */
  async tip(): Promise<string> {
    const cwd = this.#repo;
    const tip = await commitOf(this.#ref, { cwd });
    if (tip === undefined) {
      throw new NoBaseError(
        `there is no branch ${this.#name} in ${cwd}. Make it, or name another.`,
      );
    }
    const from = await commitOf(this.#followed, { cwd });
    if (from !== undefined) await this.#follow({ from, to: tip });
    return tip;
  }

  async move({ from, to, kept, why }: BaseMove): Promise<MoveEnd> {
    const cwd = this.#repo;
    const problem = await followProblem(this.#move({ from, to }));
    if (problem !== undefined) return { kind: "refused", why: problem };
    await git(["update-ref", "--stdin"], {
      cwd,
      input: `update ${kept} ${to}\nupdate ${this.#followed} ${from}\n`,
    });
    try {
      await git(
        ["update-ref", "-m", `agent-runner: ${why}`, this.#ref, to, from],
        { cwd },
      );
    } catch (error) {
      await git(["update-ref", "-d", this.#followed], { cwd });
      const isOurs = await commitOf(this.#ref, { cwd }) === from;
      if (!(error instanceof GitError) || isOurs) throw error;
      return { kind: "moved by others" };
    }
    return { kind: "moved", warning: await this.#follow({ from, to }) };
  }

  get #ref(): string {
    return `refs/heads/${this.#name}`;
  }

  /** Names the commit that its worktrees are at, until they have followed. */
  get #followed(): string {
    return `refs/agent-runner/follow/${this.#name}`;
  }

  #move(move: Pick<Move, "from" | "to">): Move {
    return { repo: this.#repo, ref: this.#ref, ...move };
  }

  async #follow(
    move: Pick<Move, "from" | "to">,
  ): Promise<string | undefined> {
    const left = await follow(this.#move(move));
    if (left === undefined) {
      await git(["update-ref", "-d", this.#followed], { cwd: this.#repo });
    }
    return left;
  }
}

/** A base in the repository that a clone was made of. */
export class RemoteBase implements Base {
  readonly #clone: string;
  readonly #remote: string;
  readonly #name: string;

  constructor(
    clone: string,
    { remote, name }: { readonly remote: string; readonly name: string },
  ) {
    this.#clone = clone;
    this.#remote = remote;
    this.#name = name;
  }

  async tip(): Promise<string> {
    const tracking = `refs/remotes/${this.#remote}/${this.#name}`;
    const cwd = this.#clone;
    await git([
      "fetch",
      "--quiet",
      "--no-tags",
      this.#remote,
      `+${this.#ref}:${tracking}`,
    ], { cwd });
    return await git(["rev-parse", tracking], { cwd });
  }

  async move({ from, to, kept }: BaseMove): Promise<MoveEnd> {
    const cwd = this.#clone;
    await git(["update-ref", kept, to], { cwd });
    const end = await runGit([
      "push",
      "--quiet",
      `--force-with-lease=${this.#ref}:${from}`,
      this.#remote,
      `${to}:${this.#ref}`,
    ], { cwd });
    if (end.code === 0) return { kind: "moved" };
    return await this.tip() === from
      ? { kind: "refused", why: new GitError(["push"], end).message }
      : { kind: "moved by others" };
  }

  get #ref(): string {
    return `refs/heads/${this.#name}`;
  }
}
