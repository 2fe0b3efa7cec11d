/**
 * The changes of a task as git says them, for programs and pages: within bounds,
 * and with nothing of the repository's own run.
 *
 * @module
 */

import type { AgentTask } from "../task/task.ts";
import { compare, type Comparison } from "./compare.ts";
import { type GitEnd, GitError, runGit } from "./git.ts";

/** What became of a file. */
export const FILE_STATUSES = {
  A: "added",
  C: "copied",
  D: "deleted",
  M: "modified",
  R: "renamed",
  T: "type changed",
  U: "unmerged",
} as const;

/** What became of a file. */
export type FileStatus = (typeof FILE_STATUSES)[keyof typeof FILE_STATUSES];

/** A file that was changed. */
export interface ChangedFile {
  readonly path: string;
  /** What it was called before, or what it is a copy of. */
  readonly oldPath?: string;
  readonly status: FileStatus;
  /** In lines; 0 where it is no text. */
  readonly insertions: number;
  readonly deletions: number;
  readonly isBinary: boolean;
  /** As git prints it, with its headers; undefined where it is too large. */
  readonly patch?: string;
}

/** The changes of a task. */
export interface Changes {
  readonly base: string;
  readonly head: string;
  readonly branch: string;
  /** Some of it is in no commit yet. */
  readonly isUncommitted: boolean;
  readonly files: readonly ChangedFile[];
  /** Something was left out: a patch, or files. */
  readonly isTruncated: boolean;
}

/** A larger patch is left out, */
const MAX_PATCH = 1024 ** 2;
/** and those that come after so much, */
const MAX_PATCHES = 5 * 1024 ** 2;
/** and of what git prints, no more is read. */
const MAX_BYTES = 32 * 1024 ** 2;

const FORMAT = [
  "-z",
  "--raw",
  "--abbrev=40",
  "--numstat",
  "--patch",
  "--find-renames",
  "--no-ext-diff",
  "--no-textconv",
  "--no-color",
  "--no-relative",
  "--submodule=short",
  "--ignore-submodules=dirty",
];

const CONFIG = [
  "-c",
  "core.quotePath=false",
  "-c",
  "diff.suppressBlankEmpty=false",
  // More is taken for binary, and not compared by lines.
  "-c",
  "core.bigFileThreshold=16m",
];

/**
 * Reads the changes of a task.
 *
 * @throws {NoChangesError} where there are none to be had on this machine.
 * @throws {GitError} where git fails.
 */
export async function readChanges(
  task: Pick<AgentTask, "id" | "traceText">,
  signal?: AbortSignal,
): Promise<Changes> {
  await using compared = await compare(task, signal);
  const { base, head, branch, isUncommitted } = compared;
  const { stdout, isCut = false } = await print(compared);
  return {
    base,
    head,
    branch,
    isUncommitted,
    ...parse(stdout, isCut),
  };
}

/** By the commands for programs, which know nothing of a person's settings. */
async function print(
  { base, head, isUncommitted, quietly }: Comparison,
): Promise<GitEnd> {
  const args = isUncommitted
    ? [...CONFIG, "diff-index", ...FORMAT, base, "--"]
    : [...CONFIG, "diff-tree", "-r", ...FORMAT, base, head, "--"];
  const end = await runGit(args, { ...quietly, maxBytes: MAX_BYTES });
  if (end.code !== 0 && !end.isCut) throw new GitError(["diff"], end);
  return end;
}

/** A file of the first part, with its lines of the second. */
interface Listed {
  readonly path: string;
  readonly oldPath?: string;
  readonly status: FileStatus;
  /** Of changed lines; undefined where it was only touched. */
  counts?: { readonly insertions: string; readonly deletions: string };
}

/**
 * A line of a file has a mark before it, so that this can only be git's own. Only git's
 * lines count: within one, there may be what else ends a line.
 */
const SECTION = /(?<![^\n])(?=diff --git )/;

/**
 * Reads what `-z --raw --numstat --patch` prints: each file in each part, in one
 * order. An empty field is before the last.
 */
export function parse(
  text: string,
  isCut: boolean,
): Pick<Changes, "files" | "isTruncated"> {
  const end = text.indexOf("\0\0");
  const head = end < 0 ? text : text.slice(0, end);
  const sections = end < 0 ? [] : text.slice(end + 2).split(SECTION);
  // The last one is not whole.
  if (isCut) sections.pop();
  let left = MAX_PATCHES;
  let isTruncated = isCut;
  const files = listedIn(head).map(({ counts, ...file }): ChangedFile => {
    // One that became a link was deleted and added.
    const isNone = !counts || file.status === "unmerged";
    const parts = isNone ? 0 : file.status === "type changed" ? 2 : 1;
    const own: string[] = [];
    while (own.length < parts && isOf(file, sections[0])) {
      own.push(...sections.splice(0, 1));
    }
    const patch = own.join("");
    const isWhole = own.length === parts && (counts || !isCut);
    const isKept = isWhole && patch.length <= Math.min(left, MAX_PATCH);
    if (isKept) left -= patch.length;
    else isTruncated = true;
    return {
      ...file,
      insertions: Number(counts?.insertions) || 0,
      deletions: Number(counts?.deletions) || 0,
      isBinary: counts?.insertions === "-",
      ...isKept && { patch },
    };
  });
  return { files, isTruncated };
}

/** What changed while git looked has no section; a quoted name is not looked at. */
function isOf(
  { path, oldPath = path }: Pick<Listed, "path" | "oldPath">,
  section = "",
): boolean {
  const [header = ""] = section.split("\n", 1);
  return header === `diff --git a/${oldPath} b/${path}` ||
    header.startsWith("diff --git ") && header.includes('"');
}

function listedIn(head: string): Listed[] {
  const fields = head.split("\0").values();
  const next = () => fields.next().value ?? "";
  const listed = new Map<string, Listed>();
  for (const field of fields) {
    const [, letter] = /^:.* ([ACDMRTU])\d*$/.exec(field) ?? [];
    const [, insertions = "", deletions = "", counted] =
      /^(\d+|-)\t(\d+|-)\t(.*)$/s.exec(field) ?? [];
    if (letter !== undefined) {
      const oldPath = /[CR]/.test(letter) ? next() : undefined;
      const path = next();
      listed.set(path, {
        path,
        ...oldPath !== undefined && { oldPath },
        status: FILE_STATUSES[letter as keyof typeof FILE_STATUSES],
      });
    } else if (counted !== undefined) {
      // Of two names, the second is the present one.
      if (counted === "") next();
      const file = listed.get(counted || next());
      if (file) file.counts = { insertions, deletions };
    }
  }
  return [...listed.values()];
}
