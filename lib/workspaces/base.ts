/**
 * The branch that others are merged into: of a repository here, or of the one that
 * was cloned. It only ever moves from the commit that it is known to be at.
 *
 * @module
 */

import { join } from "node:path";
import { commitOf, isIn } from "./commits.ts";
import { git, GitError, isFolder, runGit } from "./git.ts";
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
  /** Moves it, and names what it is moved to before that. */
  move(move: BaseMove): Promise<MoveEnd>;
}

/** A move of it, to a later commit. */
export interface BaseMove {
  readonly from: string;
  readonly to: string;
  /** The name of what it is moved to. */
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

  async tip(): Promise<string> {
    const tip = await commitOf(this.#ref, { cwd: this.#repo });
    if (tip !== undefined) return tip;
    throw new NoBaseError(
      `there is no branch ${this.#name} in ${this.#repo}. Make it, or name ` +
        "another.",
    );
  }

  async move({ from, to, kept, why }: BaseMove): Promise<MoveEnd> {
    const checkouts = await this.#checkouts();
    const problem = await this.#problemOf(checkouts);
    if (problem !== undefined) return { kind: "refused", why: problem };
    const [checkout] = checkouts;
    const options = { cwd: this.#repo };
    await git(["update-ref", kept, to], options);
    if (checkout && checkout.head !== from) return { kind: "moved by others" };
    const reason = `agent-runner: ${why}`;
    try {
      if (!checkout) {
        await git(["update-ref", "-m", reason, this.#ref, to, from], options);
        return { kind: "moved" };
      }
      await follow(checkout.path, { branch: this.#name, to, reason });
      if (await isIn(await this.tip(), to, options)) return { kind: "moved" };
      return {
        kind: "refused",
        why: `${checkout.path} had ${this.#name} checked out until it was to ` +
          "follow. What is checked out there now may have moved instead: see " +
          "git reflog there.",
      };
    } catch (error) {
      if (!(error instanceof GitError)) throw error;
      if (await this.tip() !== from) return { kind: "moved by others" };
      const isHeld = checkout && error.lock === undefined && !error.isFull;
      return {
        kind: "refused",
        why: isHeld
          ? `${this.#name} is checked out in ${checkout.path} with changes of its ` +
            `own that are in the way. git says: ${shown(error)}`
          : error.message,
      };
    }
  }

  get #ref(): string {
    return `refs/heads/${this.#name}`;
  }

  /** The worktrees that have it. */
  async #checkouts(): Promise<Checkout[]> {
    const list = ["worktree", "list", "--porcelain"];
    const text = await git(list, { cwd: this.#repo });
    const found: Checkout[] = [];
    for (const lines of text.split("\n\n").map((it) => it.split("\n"))) {
      const [path = "", head = ""] = lines.map((it) => it.replace(/^\w+ /, ""));
      const isThere = lines.includes(`branch ${this.#ref}`);
      const isRebasing = lines.includes("detached") &&
        await isRebased(path, this.#ref);
      if (isThere || isRebasing) found.push({ path, head, isRebasing });
    }
    return found;
  }

  /** Why it is not to be moved; undefined where it may be. */
  async #problemOf(
    checkouts: readonly Checkout[],
  ): Promise<string | undefined> {
    const name = this.#name;
    if (checkouts.length > 1) {
      const paths = checkouts.map(({ path }) => path).join(" and ");
      return `${name} is checked out in ${paths}. Let one of them have it.`;
    }
    for (const { path, isRebasing } of checkouts) {
      if (isRebasing) return `${name} is being rebased in ${path}. End that.`;
      if (await isFolder(path)) continue;
      return `${name} is checked out in ${path}, which is not there now. If it ` +
        "is gone for good: git worktree prune.";
    }
    return undefined;
  }
}

interface Checkout {
  readonly path: string;
  readonly head: string;
  /** Its HEAD is detached, and comes back to the branch. */
  readonly isRebasing: boolean;
}

/**
 * Moves a branch where it is checked out, with what is changed there. It is one call
 * of git that does both, and ends it though we are killed; again, it does the rest.
 * It moves what is checked out there, whatever that is by then.
 */
async function follow(
  path: string,
  { branch, to, reason }: {
    readonly branch: string;
    readonly to: string;
    readonly reason: string;
  },
): Promise<void> {
  await git([
    "-c",
    `branch.${branch}.mergeOptions=`,
    "merge",
    "--quiet",
    "--ff-only",
    "--no-overwrite-ignore",
    // What settings of the user's, or of the branch, would have it do beside.
    "--no-autostash",
    "--no-squash",
    // It is a policy for what is merged, which was heeded when that was made.
    "--no-verify-signatures",
    to,
  ], {
    cwd: path,
    env: { GIT_REFLOG_ACTION: reason },
  });
}

/** In one line. */
function shown({ end }: GitError): string {
  return end.stderr.replace(/^(error: |Aborting$)/gm, "").trim()
    .replace(/\s*\n\s*/g, " ");
}

async function isRebased(path: string, ref: string): Promise<boolean> {
  if (!await isFolder(path)) return false;
  const { code, stdout } = await runGit(["rev-parse", "--absolute-git-dir"], {
    cwd: path,
  });
  // What is no worktree any more is rebased by nobody.
  if (code !== 0) return false;
  for (const name of ["rebase-merge", "rebase-apply"]) {
    try {
      const file = join(stdout.trim(), name, "head-name");
      if ((await Deno.readTextFile(file)).trim() === ref) return true;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return false;
}

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
