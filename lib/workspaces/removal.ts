/**
 * Which folders of tasks may be removed without a loss, and removes them.
 *
 * @module
 */

import { basename, dirname, join } from "node:path";
import { messageOf } from "../base/errors.ts";
import { countOf } from "../base/figures.ts";
import { commitOf, ignoredIn, isIn, refsIn } from "./commits.ts";
import { git, GitError, isFolder } from "./git.ts";
import { leftIn } from "./left.ts";
import { tryLock } from "./lock.ts";
import { removeAdmin } from "./making.ts";
import { forgetMerges, keptRefs } from "./merge.ts";
import { nestedIn } from "./nested.ts";
import {
  foldersIn,
  isThere,
  lockPath,
  readRecord,
  recordPath,
  removeIfThere,
  removeRecord,
  type WorkspaceRecord,
} from "./record.ts";
import { shownBase } from "./shown_facts.ts";

interface Located extends WorkspaceRecord {
  readonly path: string;
}

/** A task's folder that is there. */
export interface KeptWorkspace extends Located {
  readonly madeAt: Date;
}

/** What would be lost with a folder. */
export interface Removability {
  /** Why nothing would, in a few words; undefined where something would. */
  readonly safe?: string;
  /** What would, in a few words each. */
  readonly lost: readonly string[];
  /** Commits that only its branch has, which stays with the repository. */
  readonly stays: readonly string[];
  /** Files that git ignores, and that were not there when the work began. */
  readonly ignored?: string;
}

/** More files are counted only. */
const MAX_NAMED = 10;

/** Where folders stand that are about to be gone. */
const REMOVING = ".removing-";

/** The tasks' folders in a folder, the oldest first. */
export async function keptIn(folder: string): Promise<KeptWorkspace[]> {
  const kept: KeptWorkspace[] = [];
  for (const path of await foldersIn(folder)) {
    const record = await readRecord(path);
    if (!record) continue; // Removed meanwhile.
    const { mtime, birthtime } = await Deno.stat(recordPath(path));
    kept.push({ ...record, path, madeAt: birthtime ?? mtime ?? new Date(0) });
  }
  return kept.sort((a, b) => a.madeAt.getTime() - b.madeAt.getTime());
}

/** Looks at what is in a folder. */
export async function look(kept: Located): Promise<Removability> {
  const { path, gitDir, commonDir, repo, isMade } = kept;
  const none = { lost: [], stays: [] };
  if (!isMade) return { ...none, safe: "half made" };
  if (!await isThere(path)) return { ...none, safe: "its folder is gone" };
  try {
    if (!await isThere(commonDir)) {
      throw new Error(`the repository ${repo} is gone`);
    }
    if (!await isThere(gitDir)) {
      throw new Error(
        `git has forgotten this worktree of ${repo}: ${gitDir} is gone. The ` +
          "task's next run, or merge, makes it again",
      );
    }
    const lost = await lostIn(kept);
    const { safe, only, stays } = await lookAtBranches(kept);
    lost.push(...only);
    const ignored = await ignoredSince(kept);
    // They may be all that the work has come to.
    if (ignored && safe === NOTHING) lost.push(ignored);
    const isSafe = lost.length === 0 && stays.length === 0;
    return {
      lost,
      stays,
      ...isSafe && { safe },
      ...ignored && !lost.includes(ignored) && { ignored },
    };
  } catch (error) {
    return { ...none, lost: [`all that is in it: ${messageOf(error)}`] };
  }
}

/** What would be lost besides commits of the repository. */
async function lostIn(
  { path, gitDir, isClone, copied }: Located,
): Promise<string[]> {
  const env = { GIT_DIR: gitDir, GIT_WORK_TREE: path };
  const run = (args: readonly string[]) => git(args, { cwd: path, env });
  const { nested, hasSubmodules } = await nestedIn(path, run);
  const lost = nested.map((it) => `${it} is a repository of its own`);
  // Of one that is none, git can say nothing.
  const mayHaveSubmodules = nested.length === 0 &&
    (hasSubmodules || await isThere(join(gitDir, "modules")));
  if (
    mayHaveSubmodules &&
    await run(["submodule", "--quiet", "foreach", "--recursive", ONLY]) !== ""
  ) lost.push("commits of submodules that are not pushed");
  const left = await leftIn(run, copied);
  if (left.length > 0) {
    lost.push(`${countOf(left.length, "file")} not committed: ${shown(left)}`);
  }
  const stashes = isClone ? await run(["stash", "list"]) : "";
  const count = stashes.split("\n").length;
  if (stashes !== "") lost.push(countOf(count, "stashed change"));
  return lost;
}

async function ignoredSince(
  { path, gitDir, copied, ignored }: Located,
): Promise<string | undefined> {
  const env = { GIT_DIR: gitDir, GIT_WORK_TREE: path };
  const before = [...copied, ...ignored ?? []].map((it) =>
    it.replace(/\/$/, "")
  );
  const since = (await ignoredIn({ cwd: path, env })).filter((it) =>
    !before.some((one) =>
      it.replace(/\/$/, "") === one || it.startsWith(`${one}/`)
    )
  );
  if (since.length === 0) return undefined;
  const what = since.length === 1
    ? "what git ignores"
    : "things that git ignores";
  return `${what}: ${shown(since)}`;
}

function shown(paths: readonly string[]): string {
  const more = paths.length > MAX_NAMED ? ", …" : "";
  return paths.slice(0, MAX_NAMED).join(", ") + more;
}

/** Where the commits are that the folder has, and those that are nowhere else. */
async function lookAtBranches(
  kept: Located,
): Promise<{
  readonly safe: string;
  readonly only: readonly string[];
  readonly stays: readonly string[];
}> {
  const { gitDir, isClone, branch, base, baseCommit } = kept;
  const options = { cwd: gitDir };
  const own = `refs/heads/${branch}`;
  const refs = isClone ? await refsIn("refs/heads", options) : [];
  const only: string[] = [];
  const stays: string[] = [];
  let safe = "";
  let ownTip: string | undefined;
  for (const ref of new Set([own, "HEAD", ...refs])) {
    const tip = await commitOf(ref, options);
    if (ref === own) ownTip = tip;
    else if (ref === "HEAD" && tip === ownTip) continue;
    if (tip === undefined) continue;
    const found = await elsewhere(tip, ref, kept);
    if (found && !refs.includes(ref) || ref === own) safe = found ?? "";
    if (found) continue;
    const begin = await commitOf(base, options) ? base : baseCommit;
    const count = Number(
      await git(
        ["rev-list", "--count", tip, "--not", begin, "--remotes"],
        options,
      ),
    );
    const name = ref === "HEAD" ? "no branch" : ref.replace("refs/heads/", "");
    (ref === own && !isClone ? stays : only).push(
      `${countOf(count, "commit")} only on ${name}, not in ` +
        `${shownBase(base)} and not pushed`,
    );
  }
  return { safe, only, stays };
}

/** Prints a commit where a submodule has some that are nowhere else. */
const ONLY = "git rev-list --max-count=1 HEAD --branches --not --remotes";

/** Where a commit is that is to be removed here; undefined where it is nowhere. */
async function elsewhere(
  tip: string,
  ref: string,
  { base, baseCommit, isClone, repo, task, commonDir }: Located,
): Promise<string | undefined> {
  const options = { cwd: commonDir };
  if (tip === baseCommit) return NOTHING;
  if (!isClone) {
    // By a rebase, the base has it as another commit.
    const rebased = await commitOf(`${keptRefs(task)}/${tip}`, options);
    for (const commit of rebased ? [tip, rebased] : [tip]) {
      if (await isIn(base, commit, options)) {
        return `merged into ${shownBase(base)}`;
      }
    }
  }
  const [pushed] = await refsIn("refs/remotes", options, tip);
  if (pushed) return `pushed to ${pushed.replace("refs/remotes/", "")}`;
  // What it was cloned from may have got it by other ways.
  const others = !isClone
    ? await refsIn("refs/heads", options, tip)
    : await isFolder(repo) && await commitOf(tip, { cwd: repo })
    ? await refsIn("refs/heads", { cwd: repo }, tip)
    : [];
  const other = others.find((it) => isClone || it !== ref)
    ?.replace("refs/heads/", "");
  return other && `${ON} ${other}${isClone ? ` of ${repo}` : ""}`;
}

const NOTHING = "without a commit of its own";

/** Another branch may have it for some time only. */
const ON = "on";

/**
 * Removes a folder with what git keeps of it; its branch too, where all of that is
 * elsewhere. What is cut off in the middle, is ended by the next call.
 *
 * @param given what may be lost with it, as {@linkcode look} has it.
 * @returns why it stays; undefined where it is gone.
 */
export async function remove(
  { path, task }: Pick<KeptWorkspace, "path" | "task">,
  given: readonly string[] = [],
): Promise<string | undefined> {
  using lock = await tryLock(lockPath(path));
  if (!lock) return "a task works there just now";
  // It may have been worked in since it was looked at.
  const record = await readRecord(path);
  if (record?.task !== task) {
    return record && `task ${record.task.slice(0, 8)} goes on there`;
  }
  const { lost, stays } = await look({ ...record, path });
  const more = [...lost, ...stays].filter((it) => !given.includes(it));
  if (more.length > 0) return more.join("; ");
  try {
    await removeNow({ ...record, path });
    await removeIfThere(lockPath(path));
    return undefined;
  } catch (error) {
    // Others are to be removed all the same.
    return messageOf(error);
  }
}

async function removeNow(kept: Located): Promise<void> {
  const { path, isClone, commonDir, gitDir, repo, task } = kept;
  const away = join(dirname(path), `${REMOVING}${basename(path)}`);
  await removeIfThere(away);
  if (await isThere(path)) await Deno.rename(path, away);
  if (!isClone && await isThere(commonDir)) {
    await removeAdmin(path, commonDir, gitDir);
    await removeBranch(kept);
  }
  const merged = isClone ? repo : commonDir;
  if (await isThere(merged)) await forgetMerges(task, merged);
  await removeRecord(path);
  // Also those of a removal that was cut off here.
  for await (const { name } of Deno.readDir(dirname(path))) {
    if (name.startsWith(REMOVING)) {
      await removeIfThere(join(dirname(path), name));
    }
  }
}

/** Where all of it is elsewhere, and nobody has it checked out. */
async function removeBranch(kept: Located): Promise<void> {
  const options = { cwd: kept.commonDir };
  const ref = `refs/heads/${kept.branch}`;
  const tip = await commitOf(ref, options);
  const found = tip && await elsewhere(tip, ref, kept);
  if (!tip || !found || found.startsWith(`${ON} `)) return;
  const worktrees = await git(["worktree", "list", "--porcelain"], options);
  if (worktrees.split("\n").includes(`branch ${ref}`)) return;
  try {
    await git(["update-ref", "-d", ref, tip], options);
  } catch (error) {
    // Somebody has moved it just now, so it is wanted.
    if (!(error instanceof GitError)) throw error;
  }
}
