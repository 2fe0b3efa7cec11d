/**
 * Which folders of tasks may be removed without a loss, and removes them.
 *
 * @module
 */

import { basename, dirname, join } from "node:path";
import { messageOf } from "../base/errors.ts";
import { countOf } from "../base/figures.ts";
import { leftIn } from "./finish.ts";
import { commitOf, git, GitError, type GitOptions, runGit } from "./git.ts";
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
  type WorkspaceRecord,
} from "./record.ts";

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
  /** All that its branch has is elsewhere too. */
  readonly isBranchElsewhere: boolean;
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
  if (!isMade) {
    return { safe: "half made", lost: [], isBranchElsewhere: false };
  }
  if (!await isThere(path)) {
    return { safe: "its folder is gone", lost: [], isBranchElsewhere: false };
  }
  try {
    if (!await isThere(commonDir) || !await isThere(gitDir)) {
      throw new Error(`the repository ${repo} is gone`);
    }
    return await lookInto(kept);
  } catch (error) {
    return {
      lost: [`all that is in it: ${messageOf(error)}`],
      isBranchElsewhere: false,
    };
  }
}

async function lookInto(kept: Located): Promise<Removability> {
  const { path, gitDir, isClone, branch, copied, base } = kept;
  const env = { GIT_DIR: gitDir, GIT_WORK_TREE: path };
  const options: GitOptions = { cwd: path, env };
  const run = (args: readonly string[]) => git(args, options);
  const left = await leftIn(run, copied);
  const stashes = isClone ? linesOf(await run(["stash", "list"])) : [];
  const own = `refs/heads/${branch}`;
  const refs = isClone
    ? linesOf(
      await run(["for-each-ref", "--format=%(refname)", "refs/heads"]),
    )
    : [own];
  const only: string[] = [];
  let isBranchElsewhere = true;
  let why = "";
  for (const ref of new Set([own, "HEAD", ...refs])) {
    const tip = await commitOf(ref, options);
    if (!tip) continue;
    const found = await elsewhere(tip, ref, { kept, options });
    if (ref === own) {
      isBranchElsewhere = found !== undefined;
      why = found ?? "";
    } else if (ref === "HEAD" && tip === await commitOf(own, options)) continue;
    if (found !== undefined) continue;
    const other = await onAnother(tip, kept, options);
    if (other) {
      why = `on ${other}`;
      continue;
    }
    const commits = await countOnly(ref, { kept, options });
    only.push(
      `${countOf(commits, "commit")} only on ${
        ref === "HEAD" ? "no branch" : ref.replace("refs/heads/", "")
      }, not in ${base} and not pushed`,
    );
  }
  const { nested, hasSubmodules } = await nestedIn(path, run);
  // Of one that is none, git can say nothing.
  const inSubmodules = nested.length === 0 &&
      (hasSubmodules || await isThere(join(gitDir, "modules")))
    ? linesOf(
      await run(["submodule", "--quiet", "foreach", "--recursive", ONLY]),
    )
    : [];
  const lost = [
    ...nested.map((it) => `${it} is a repository of its own`),
    ...inSubmodules.length > 0
      ? ["commits of submodules that are not pushed"]
      : [],
    ...left.length > 0
      ? [
        `${countOf(left.length, "file")} not committed: ${
          left.slice(0, MAX_NAMED).join(", ")
        }${left.length > MAX_NAMED ? ", …" : ""}`,
      ]
      : [],
    ...stashes.length > 0 ? [countOf(stashes.length, "stashed change")] : [],
    ...only,
  ];
  return lost.length === 0
    ? { safe: why, lost, isBranchElsewhere }
    : { lost, isBranchElsewhere };
}

/** Prints a commit where a submodule has some that are nowhere else. */
const ONLY = "git rev-list --max-count=1 HEAD --branches --not --remotes";

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}

/** Where a commit is that is to be removed here; undefined where it is nowhere. */
async function elsewhere(
  tip: string,
  ref: string,
  { kept: { base, baseCommit, isClone, repo, branch, task }, options }: {
    readonly kept: Located;
    readonly options: GitOptions;
  },
): Promise<string | undefined> {
  if (tip === baseCommit) return "without a commit of its own";
  if (!isClone) {
    // By a rebase, the base has it as another commit.
    const rebased = await commitOf(`${keptRefs(task)}/${tip}`, options);
    for (const commit of rebased ? [tip, rebased] : [tip]) {
      const { code } = await runGit(
        ["merge-base", "--is-ancestor", "--end-of-options", commit, base],
        options,
      );
      if (code === 0) return `merged into ${base}`;
    }
    // On no branch, but what the task's own has.
    if (ref === "HEAD") {
      const own = `refs/heads/${branch}`;
      const { code } = await runGit(
        ["merge-base", "--is-ancestor", tip, own],
        options,
      );
      if (code === 0) return `on ${branch}`;
    }
  }
  const [pushed] = linesOf(
    await git([
      "for-each-ref",
      "--count=1",
      "--format=%(refname:short)",
      `--contains=${tip}`,
      "refs/remotes",
    ], options),
  );
  if (pushed) return `pushed to ${pushed}`;
  if (!isClone || !await isThere(repo)) return undefined;
  // What it was cloned from may have got it by other ways.
  const { code, stdout } = await runGit([
    "for-each-ref",
    "--count=1",
    "--format=%(refname:short)",
    `--contains=${tip}`,
    "refs/heads",
  ], { cwd: repo });
  return code === 0 && stdout.trim()
    ? `on ${stdout.trim()} of ${repo}`
    : undefined;
}

/** Another branch of its repository that has a commit; that stays, as its own does. */
async function onAnother(
  tip: string,
  { isClone, branch }: Located,
  options: GitOptions,
): Promise<string | undefined> {
  if (isClone) return undefined;
  const names = linesOf(
    await git([
      "for-each-ref",
      "--format=%(refname:lstrip=2)",
      `--contains=${tip}`,
      "refs/heads",
    ], options),
  );
  return names.find((it) => it !== branch);
}

/** How many commits are nowhere else. */
async function countOnly(
  ref: string,
  { kept: { base, baseCommit }, options }: {
    readonly kept: Located;
    readonly options: GitOptions;
  },
): Promise<number> {
  const isBase = await commitOf(base, options) !== undefined;
  return Number(
    await git([
      "rev-list",
      "--count",
      ref,
      "--not",
      isBase ? base : baseCommit,
      "--remotes",
    ], options),
  );
}

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
  const { lost, isBranchElsewhere } = await look({ ...record, path });
  const more = lost.filter((it) => !given.includes(it));
  if (more.length > 0) return more.join("; ");
  try {
    await removeNow({ ...record, path }, { isBranchElsewhere });
    await removeIfThere(lockPath(path));
    return undefined;
  } catch (error) {
    // Others are to be removed all the same.
    return messageOf(error);
  }
}

async function removeNow(
  kept: Located,
  { isBranchElsewhere }: Pick<Removability, "isBranchElsewhere">,
): Promise<void> {
  const { path, isClone, commonDir, gitDir, repo, task } = kept;
  const away = join(dirname(path), `${REMOVING}${basename(path)}`);
  await removeIfThere(away);
  if (await isThere(path)) await Deno.rename(path, away);
  if (!isClone && await isThere(commonDir)) {
    await removeAdmin(path, commonDir, gitDir);
    if (isBranchElsewhere) await removeBranch(kept);
  }
  const merged = isClone ? repo : commonDir;
  if (await isThere(merged)) await forgetMerges(task, merged);
  await removeIfThere(recordPath(path));
  // Also those of a removal that was cut off here.
  for await (const { name } of Deno.readDir(dirname(path))) {
    if (name.startsWith(REMOVING)) {
      await removeIfThere(join(dirname(path), name));
    }
  }
}

/** Not where somebody has it checked out. */
async function removeBranch(
  { branch, commonDir }: Located,
): Promise<void> {
  const options = { cwd: commonDir };
  const ref = `refs/heads/${branch}`;
  const tip = await commitOf(ref, options);
  const worktrees = await git(["worktree", "list", "--porcelain"], options);
  if (!tip || worktrees.split("\n").includes(`branch ${ref}`)) return;
  try {
    await git(["update-ref", "-d", ref, tip], options);
  } catch (error) {
    // Somebody has moved it just now, so it is wanted.
    if (!(error instanceof GitError)) throw error;
  }
}
