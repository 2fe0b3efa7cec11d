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

/** A file as the first lines have it; the names as git quotes them. */
interface Listed {
  readonly status: FileStatus;
  readonly name: string;
  readonly oldName: string | undefined;
}

const RAW =
  /^:\d+ \d+ [0-9a-f]+ [0-9a-f]+ ([ACDMRTU])\d*\t([^\t]+)(?:\t(.+))?$/s;
const COUNTED = /^(\d+|-)\t(\d+|-)\t(.+)$/s;
/**
 * A line of a file has a mark before it, so that this can only be git's own. Only git's
 * lines count: within one, there may be what else ends a line.
 */
const SECTION = /(?<![^\n])(?=diff --git )/;

/** Reads what `--raw --numstat --patch` prints: each file in each part, in one order. */
export function parse(
  text: string,
  isCut: boolean,
): Pick<Changes, "files" | "isTruncated"> {
  const [head = "", ...sections] = text.split(SECTION);
  // The last one is not whole.
  if (isCut) sections.pop();
  const lines = head.split("\n");
  const listed = lines.flatMap(listedOf);
  const counts = lines.flatMap((line) => {
    const [, insertions, deletions, name] = COUNTED.exec(line) ?? [];
    return name === undefined ? [] : [{ insertions, deletions, name }];
  });
  let at = 0;
  let left = MAX_PATCHES;
  let isTruncated = isCut;
  const files = listed.map((file): ChangedFile => {
    const { name, oldName, status } = file;
    const next = counts[0];
    const isCounted = next &&
      (oldName ? next.name.includes(" => ") : next.name === name);
    const count = isCounted ? counts.shift() : undefined;
    const begin = at;
    // One that became a link was deleted and added.
    while (sections[at] && isOf(file, sections[at]!)) at++;
    const patch = sections.slice(begin, at).join("");
    // One that was only touched has none.
    const isWhole = at > begin || (!isCut && count === undefined);
    const isKept = isWhole && patch.length <= Math.min(left, MAX_PATCH);
    if (isKept) left -= patch.length;
    else isTruncated = true;
    return {
      path: unquoted(name),
      ...oldName && { oldPath: unquoted(oldName) },
      status,
      insertions: Number(count?.insertions) || 0,
      deletions: Number(count?.deletions) || 0,
      isBinary: count?.insertions === "-",
      ...isKept && { patch },
    };
  });
  return { files, isTruncated };
}

function listedOf(line: string): Listed[] {
  const [, letter, first, second] = RAW.exec(line) ?? [];
  if (letter === undefined || first === undefined) return [];
  const status = FILE_STATUSES[letter as keyof typeof FILE_STATUSES];
  return [
    second === undefined
      ? { status, name: first, oldName: undefined }
      : { status, name: second, oldName: first },
  ];
}

function isOf({ name, oldName = name }: Listed, section: string): boolean {
  const header = `diff --git ${below("a", oldName)} ${below("b", name)}\n`;
  return section.startsWith(header);
}

function below(side: string, name: string): string {
  return name.startsWith('"') ? `"${side}/${name.slice(1)}` : `${side}/${name}`;
}

const ESCAPES: Readonly<Record<string, number>> = {
  a: 7,
  b: 8,
  t: 9,
  n: 10,
  v: 11,
  f: 12,
  r: 13,
};

/** A name as it is: git quotes those with bytes that would confuse a reader. */
function unquoted(name: string): string {
  if (!name.startsWith('"')) return name;
  const encoder = new TextEncoder();
  const parts = name.slice(1, -1).match(/\\(?:[0-7]{3}|.)|[^\\]+/gs) ?? [];
  const bytes = parts.flatMap((part) => {
    if (!part.startsWith("\\")) return [...encoder.encode(part)];
    const code = part.slice(1);
    if (/^\d{3}$/.test(code)) return [Number.parseInt(code, 8)];
    return [ESCAPES[code] ?? code.charCodeAt(0)];
  });
  return new TextDecoder().decode(Uint8Array.from(bytes));
}
