/**
 * The repository that a clone was made of. It is fetched from and pushed to by its
 * address, with the user's settings: what an agent has written into the clone's own
 * configuration has no say.
 *
 * @module
 */

import { resolve } from "node:path";
import { commitOf } from "./commits.ts";
import { git } from "./git.ts";

/** See above. */
export interface Remote {
  /** The clone's folder. */
  readonly clone: string;
  readonly address: string;
  /** What the clone calls it. */
  readonly name: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The commit that a branch is at there, with all that belongs to it.
 *
 * @throws {GitError} where it can't be had.
 */
export async function fetchBranch(
  remote: Remote,
  branch: string,
): Promise<string> {
  const tracking = trackingRef(remote, branch);
  const known = await commitOf(tracking, { cwd: remote.clone });
  const tip = await apart(remote, async (run) => {
    // So that it sends only what is new.
    if (known) await run(["update-ref", "refs/known", known]);
    const refs = `+refs/heads/${branch}:refs/tip`;
    await run(["fetch", "--quiet", "--no-tags", remote.address, refs]);
    return await run(["rev-parse", "refs/tip"]);
  });
  await git(["update-ref", tracking, tip], { cwd: remote.clone });
  return tip;
}

/**
 * Moves a branch there to a commit of the clone.
 *
 * @param move.from where it must be before. Default: at an ancestor of the commit
 * @throws {GitError} where it can't.
 */
export async function pushBranch(
  remote: Remote,
  branch: string,
  { to, from }: { readonly to: string; readonly from?: string },
): Promise<void> {
  const ref = `refs/heads/${branch}`;
  const lease = from === undefined ? [] : [`--force-with-lease=${ref}:${from}`];
  const args = ["push", "--quiet", ...lease, remote.address, `${to}:${ref}`];
  await apart(remote, (run) => run(args));
  await git(["update-ref", trackingRef(remote, branch), to], {
    cwd: remote.clone,
  });
}

function trackingRef({ name }: Remote, branch: string): string {
  return `refs/remotes/${name}/${branch}`;
}

/**
 * Has git work on the clone's commits from a repository without settings, but that
 * the user's own may depend on an address (`hasconfig:remote.*.url`).
 */
async function apart<T>(
  { clone, name, address, signal }: Remote,
  work: (run: (args: readonly string[]) => Promise<string>) => Promise<T>,
): Promise<T> {
  const [format = "", objects = ""] = (await git(
    ["rev-parse", "--show-object-format", "--git-path", "objects"],
    { cwd: clone },
  )).split("\n");
  const folder = await Deno.makeTempDir({ prefix: "agent-runner-remote-" });
  try {
    await git(
      ["init", "--quiet", "--bare", "--template=", `--object-format=${format}`],
      { cwd: folder },
    );
    return await work((args) =>
      git(["-c", `remote.${name}.url=${address}`, ...args], {
        cwd: folder,
        env: { GIT_OBJECT_DIRECTORY: resolve(clone, objects) },
        signal,
      })
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
