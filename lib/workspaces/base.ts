/**
 * The branch that others are merged into: of a repository here, or of the one that
 * was cloned. It only ever moves from the commit that it is known to be at.
 *
 * @module
 */

import { follow, followProblem, isTouched, type Move } from "./checkouts.ts";
import { commitOf, git, GitError } from "./git.ts";
import { fetchBranch, pushBranch, type Remote } from "./remote.ts";

/** Where there is no such branch. */
export class NoBaseError extends Error {
  override readonly name = "NoBaseError";
}

/** What came of moving it. */
export type MoveEnd =
  | { readonly kind: "moved" }
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
    const tip = await this.#tip();
    const [from, to] = await Promise.all(
      [this.#begun.from, this.#begun.to].map((it) =>
        commitOf(it, { cwd: this.#repo })
      ),
    );
    if (from === undefined || to === undefined) return tip;
    if (tip === from) await this.#carryOut({ from, to }, "merge");
    else await this.#settle({ from, to }, tip);
    return await this.#tip();
  }

  /**
   * Its worktrees first: were it killed between, a commit that is made there has
   * what was merged, and takes nothing back.
   */
  async move({ from, to, kept, why }: BaseMove): Promise<MoveEnd> {
    const problem = await followProblem(this.#move({ from, to }));
    if (problem !== undefined) return { kind: "refused", why: problem };
    const begun = this.#begun;
    await git(["update-ref", "--stdin"], {
      cwd: this.#repo,
      input: `update ${kept} ${to}\nupdate ${begun.from} ${from}\n` +
        `update ${begun.to} ${to}\n`,
    });
    return await this.#carryOut({ from, to }, why);
  }

  async #carryOut(
    { from, to }: Pick<Move, "from" | "to">,
    why: string,
  ): Promise<MoveEnd> {
    const move = this.#move({ from, to });
    const problem = await followProblem(move) ?? await follow(move);
    if (problem !== undefined) {
      await this.#settle(move, from);
      return { kind: "refused", why: problem };
    }
    try {
      await git(
        ["update-ref", "-m", `agent-runner: ${why}`, this.#ref, to, from],
        { cwd: this.#repo },
      );
    } catch (error) {
      const tip = await this.#tip();
      await this.#settle(move, tip);
      if (!(error instanceof GitError) || tip === from) throw error;
      return { kind: "moved by others" };
    }
    await this.#forget();
    return { kind: "moved" };
  }

  /**
   * Takes back what the worktrees have of a move that can't be, or is done, unless
   * somebody has committed some of it there meanwhile.
   *
   * @throws {NoBaseError} where it can't be taken back.
   */
  async #settle(
    { from, to }: Pick<Move, "from" | "to">,
    tip: string,
  ): Promise<void> {
    if (!await isTouched({ repo: this.#repo, from, to }, tip)) {
      const left = await follow(this.#move({ from: to, to: from }));
      if (left !== undefined) throw new NoBaseError(left);
    }
    await this.#forget();
  }

  async #forget(): Promise<void> {
    const { from, to } = this.#begun;
    await git(["update-ref", "--stdin"], {
      cwd: this.#repo,
      input: `delete ${from}\ndelete ${to}\n`,
    });
  }

  /** @throws {NoBaseError} where there is none. */
  async #tip(): Promise<string> {
    const cwd = this.#repo;
    const tip = await commitOf(this.#ref, { cwd });
    if (tip !== undefined) return tip;
    throw new NoBaseError(
      `there is no branch ${this.#name} in ${cwd}. Make it, or name another.`,
    );
  }

  get #ref(): string {
    return `refs/heads/${this.#name}`;
  }

  /** Name the commits of a move, from before it begins until it has ended. */
  get #begun(): Pick<Move, "from" | "to"> {
    return {
      from: `${BEGUN}/from/${this.#name}`,
      to: `${BEGUN}/to/${this.#name}`,
    };
  }

  #move(move: Pick<Move, "from" | "to">): Move {
    return { repo: this.#repo, ref: this.#ref, ...move };
  }
}

const BEGUN = "refs/agent-runner/moves";

/** A base in the repository that a clone was made of. */
export class RemoteBase implements Base {
  readonly #remote: Remote;
  readonly #name: string;

  constructor(remote: Remote, name: string) {
    this.#remote = remote;
    this.#name = name;
  }

  tip(): Promise<string> {
    return fetchBranch(this.#remote, this.#name);
  }

  async move({ from, to, kept }: BaseMove): Promise<MoveEnd> {
    await git(["update-ref", kept, to], { cwd: this.#remote.clone });
    try {
      await pushBranch(this.#remote, this.#name, { from, to });
      return { kind: "moved" };
    } catch (error) {
      if (!(error instanceof GitError)) throw error;
      return await this.tip() === from
        ? { kind: "refused", why: error.message }
        : { kind: "moved by others" };
    }
  }
}
