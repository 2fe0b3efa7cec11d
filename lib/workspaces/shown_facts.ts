/**
 * What came of a task's branch, for people.
 *
 * @module
 */

import { countOf } from "../base/figures.ts";
import type { TaskWorkspace } from "../task/workspace.ts";

/** `agent/mend-it-550e8400: 3 commits, 2 files, +10 −2` */
export function shownFacts(facts: TaskWorkspace): string {
  const { branch, commits } = facts;
  const base = shownBase(facts.base);
  if (commits === undefined) return `${branch}, from ${base}`;
  if (commits === 0) return `${branch} has nothing that ${base} has not`;
  return `${branch}: ${shownCounts(facts)}`;
}

/** A base as people write it: of a commit, the first digits. */
export function shownBase(base: string): string {
  return /^[0-9a-f]{40,}$/.test(base) ? base.slice(0, 7) : base;
}

/** `3 commits, 2 files, +10 −2` */
export function shownCounts(
  { commits = 0, files = 0, insertions = 0, deletions = 0 }: TaskWorkspace,
): string {
  return `${countOf(commits, "commit")}, ${countOf(files, "file")}, ` +
    `+${insertions} −${deletions}`;
}
