/**
 * Pushes a branch and opens its pull request, by the forge's own program: once, also
 * where an earlier run was killed while it did.
 *
 * @module
 */

import { commitOf, isIn } from "../commits.ts";
import { git, type GitOptions, runGit } from "../git.ts";
import { fetchBranch, pushBranch } from "../remote.ts";
import { type Forge, ForgeError, runForge } from "./program.ts";

/** What a pull request is opened with. */
export interface PullRequestOptions {
  readonly forge: Forge;
  /** A folder of a repository that has the commit, and the remote. */
  readonly repo: string;
  readonly remote: string;
  /** Where the folder is a clone of ours: what it was made of. */
  readonly address?: string | undefined;
  readonly branch: string;
  /** The branch's commit that is pushed. */
  readonly head: string;
  /** What is asked for begins after this commit, which the base there must have. */
  readonly since: string;
  readonly base: string;
  readonly title: string;
  readonly body: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens it; one that is there already gets what is new of the branch.
 *
 * @returns its address
 * @throws {GitError} where the branch can't be pushed.
 * @throws {ForgeError} where the forge's program fails.
 */
export async function openPullRequest(
  options: PullRequestOptions,
): Promise<string> {
  const { repo, remote: name, address, branch, head, signal } = options;
  await assertNoMore(options);
  if (address === undefined) {
    const push = ["push", "--quiet", name, `${head}:refs/heads/${branch}`];
    await git(push, { cwd: repo, signal });
  } else {
    const remote = { clone: repo, address, name, signal };
    await pushBranch(remote, branch, { to: head });
  }
  signal?.throwIfAborted();
  return await find(options) ?? await open(options);
}

/** A push would show to others what nobody was asked about. */
async function assertNoMore(options: PullRequestOptions): Promise<void> {
  const { repo, remote, base, since, branch, signal } = options;
  const tip = await baseThere(options);
  const isKnown = tip === undefined ||
    await isIn(tip, since, { cwd: repo, signal });
  if (isKnown) return;
  const begun = since.slice(0, 7);
  throw new ForgeError(
    `${base} of ${remote} has not the commit ${begun}, after which ${branch} ` +
      "begins, so that it would have more than is to be seen here. Push " +
      `${base} first; or, in the task's folder: git fetch ${remote} && ` +
      `git rebase --onto ${remote}/${base} ${begun}`,
    { needsPerson: true },
  );
}

/** Where the base is there, with its commits here; undefined where it is not. */
async function baseThere(
  { repo, remote, address, base, signal }: PullRequestOptions,
): Promise<string | undefined> {
  if (address !== undefined) {
    return await fetchBranch(
      { clone: repo, address, name: remote, signal },
      base,
    );
  }
  const options = { cwd: repo, signal };
  const isName = !/[/:]/.test(remote);
  if (isName && !await isRemote(remote, options)) {
    throw new ForgeError(
      `${repo} has no remote ${remote}. Add one (git remote add ${remote} …), ` +
        "or name another as `remote` of the provider's workspace.",
      { needsPerson: true },
    );
  }
  const ref = `refs/heads/${base.replace(/^refs\/heads\//, "")}`;
  const [tip = ""] = (await git(["ls-remote", remote, ref], options))
    .split("\t");
  if (tip === "") return undefined;
  if (await commitOf(tip, options) === undefined) {
    const only = ["--quiet", "--no-tags", "--no-write-fetch-head", "--refmap="];
    await git(["fetch", ...only, remote, ref], options);
  }
  return tip;
}

async function isRemote(name: string, options: GitOptions): Promise<boolean> {
  return (await runGit(["remote", "get-url", name], options)).code === 0;
}

/**
 * One that was closed is one too: a person did not want another. What was merged is
 * none of what has come since, and of a fork's branches one may have the same name.
 */
async function find(
  { forge, ...options }: PullRequestOptions,
): Promise<string | undefined> {
  const { branch, head, repo, signal } = options;
  const found = await runForge(
    forge,
    forge === "gh"
      ? ["pr", "list", "--head", branch, "--state", "all", ...GH_FIELDS]
      : ["mr", "list", "--source-branch", branch, "--all", ...GLAB_FIELDS],
    { cwd: repo, signal },
  );
  try {
    const all: readonly ListedRequest[] = JSON.parse(found || "[]");
    const own = all.filter((it) =>
      it.isCrossRepository !== true && (!/^merged$/i.test(it.state ?? "") ||
        (it.headRefOid ?? it.sha) === head)
    );
    const first = own.find(({ state }) => /^open/i.test(state ?? "")) ?? own[0];
    return first?.url ?? first?.web_url;
  } catch (error) {
    throw new ForgeError(
      `Cannot read what ${forge} lists: ${found.slice(0, 200)}`,
      { cause: error, needsPerson: true },
    );
  }
}

/** As `gh` and `glab` print it. */
interface ListedRequest {
  readonly url?: string;
  readonly web_url?: string;
  readonly state?: string;
  readonly headRefOid?: string;
  readonly sha?: string;
  readonly isCrossRepository?: boolean;
}

const GH_FIELDS = ["--json", "url,state,headRefOid,isCrossRepository"];
const GLAB_FIELDS = ["--output", "json"];

async function open(
  { forge, repo, signal, ...options }: PullRequestOptions,
): Promise<string> {
  const { branch, base, title, body } = options;
  const printed = await runForge(
    forge,
    forge === "gh"
      ? ["pr", "create", "--head", branch, "--base", base].concat(
        ["--title", title, "--body-file", "-"],
      )
      : ["mr", "create", "--source-branch", branch, "--target-branch", base]
        .concat(["--title", title, "--description", body, "--yes"]),
    { cwd: repo, signal, input: forge === "gh" ? body : undefined },
  );
  const address = printed.match(/https?:\/\/\S+/g)?.at(-1);
  if (address) return address;
  throw new ForgeError(
    `Cannot read the address of the pull request in what ${forge} prints: ` +
      printed.slice(0, 200),
    { needsPerson: true },
  );
}
