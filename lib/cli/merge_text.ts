/**
 * What came of merging a task's branch, in words and as JSON.
 *
 * @module
 */

import type { JsonObject } from "../task/task.ts";
import type { TaskWorkspace } from "../task/workspace.ts";
import type { MergeEnd } from "../workspaces/merge.ts";

/** What came of it. */
export interface Merged {
  /** It is as it was meant. */
  readonly isRight: boolean;
  readonly text: string;
  readonly json: JsonObject;
}

/** What a merge came to. */
export function shown(
  end: MergeEnd,
  { facts: { branch, path }, base, id, join }: {
    readonly facts: TaskWorkspace;
    readonly base: string;
    readonly id: string;
    /** What joins both by hand. */
    readonly join: string;
  },
): Merged {
  const what = { branch, base };
  switch (end.kind) {
    case "merged": {
      const { commit } = end;
      const text = `Merged ${branch} into ${base} as ${commit.slice(0, 7)}`;
      const json = { result: "merged", ...what, commit };
      return { isRight: true, json, text };
    }
    case "up to date":
      return already({ ...what, commit: end.commit });
    case "conflict": {
      const files = [...end.files];
      return {
        isRight: false,
        json: { result: "conflict", ...what, files, said: end.said },
        text: `${branch} conflicts with ${base} in ${files.join(", ")}. ` +
          `Resolve that in its folder, commit, and merge again: cd ${path} && ` +
          `${join}; agent-runner merge ${id}\n${end.said}`,
      };
    }
    case "unverified":
      return {
        isRight: false,
        json: { result: "unverified", ...what, said: end.output },
        text: `joined with what ${base} has, the check fails. Mend it in ` +
          `${path}, commit, and merge again.\n${end.output}`,
      };
    case "refused":
      return {
        isRight: false,
        json: { result: "refused", ...what, said: end.why },
        text: end.why,
      };
  }
}

/** The branch has no commit of its own. What was left in its folder is in none. */
export function nothing(
  { branch, base, path, left }: {
    readonly branch: string;
    readonly base: string;
    readonly path: string;
    /** The names of what is not committed; empty for nothing. */
    readonly left: string;
  },
): Merged {
  const json = { result: "nothing", branch, base };
  return left === ""
    ? {
      isRight: true,
      json,
      text: `Nothing to merge: ${branch} has nothing that ${base} has not`,
    }
    : {
      isRight: false,
      json: { ...json, said: left },
      text:
        `nothing is committed on ${branch}. This lies in ${path}: ${left}. ` +
        "Commit it there, and merge again.",
    };
}

/** It was merged before. */
export function already(
  { branch, base, commit }: {
    readonly branch: string;
    readonly base: string;
    readonly commit: string;
  },
): Merged {
  return {
    isRight: true,
    json: { result: "already_merged", branch, base, commit },
    text: `${branch} is merged already: ${base} has it at ${
      commit.slice(0, 7)
    }`,
  };
}
