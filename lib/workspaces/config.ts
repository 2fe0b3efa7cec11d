/**
 * What the configuration file says of the repository that a provider's tasks work
 * on.
 *
 * @module
 */

import { z } from "zod";
import { hasPassword, WITHOUT_PASSWORD } from "../task/address.ts";

/** What `{…}` in the address of a repository, or the name of a branch, stands for. */
export const WORKSPACE_PLACEHOLDERS = [
  "repository",
  "owner",
  "name",
  "number",
  "shortId",
  "id",
  "slug",
  "batch",
  "key",
] as const;

/** The name of a placeholder. */
export type WorkspacePlaceholder = (typeof WORKSPACE_PLACEHOLDERS)[number];

const shownPlaceholders = WORKSPACE_PLACEHOLDERS.map((it) => `{${it}}`)
  .join(", ");

const line = z.string().regex(
  /^(?!-)[^\p{Cc}]+$/u,
  "expected a text of one line that does not begin with -",
);
const template = line.superRefine((text, context) => {
  for (const [whole, name = ""] of text.matchAll(/\{([^{}]*)\}/g)) {
    if ((WORKSPACE_PLACEHOLDERS as readonly string[]).includes(name)) continue;
    context.addIssue({
      code: "custom",
      message: `expected one of ${shownPlaceholders} in place of ${whole}`,
    });
  }
});
const program = z.array(z.string().regex(/^[^\0]*$/)).min(1).refine(
  ([program]) => program !== "",
  { path: [0], error: "expected a program" },
);
const BYTES = /^\s*(\d+(?:\.\d+)?)\s*([kMGT])?B\s*$/;
const UNITS: Readonly<Record<string, number>> = {
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
};
const bytes = z.string().regex(BYTES, 'expected a size, as in "10GB"')
  .transform((text) => {
    const [, number, unit = ""] = BYTES.exec(text)!;
    return Number(number) * (UNITS[unit] ?? 1);
  });
/** Below the task's folder: what is copied there must not come from elsewhere. */
const inside = z.string().regex(
  /^(?![/\\~:-])(?!.*(^|[/\\])\.\.([/\\]|$))[^\p{Cc}]+$/u,
  'expected a path within the repository, as in ".env"',
).regex(
  /^(?!(\.[/\\]*)+$)(?!(.*[/\\])?\.git([/\\]|$))/i,
  "expected a path that is not git's own: nothing of .git is copied",
);

/** The fields of a repository. */
export const workspaceConfig = z.strictObject({
  git: template.refine((it) => !hasPassword(it), WITHOUT_PASSWORD).describe(
    "The repository: a folder, from the configuration's folder, or an address, " +
      `which is cloned. With ${shownPlaceholders}`,
  ),
  mode: z.enum(["worktree", "clone"]).default("worktree").describe(
    "Whether a task has a worktree of the repository, or a clone. An address is " +
      'always cloned. Default: "worktree"',
  ),
  folder: line.optional().describe(
    "The folder below which each task has its own, named by its id. Default: " +
      "workspaces, in agent-runner's folder of $STATE_DIRECTORY, " +
      "$XDG_STATE_HOME or ~/.local/state",
  ),
  base: line.optional().describe(
    "What a task's branch begins at, as it is when the task starts, and what it " +
      "is merged into. Default: the branch that HEAD names there",
  ),
  branch: template.default("agent/{slug}-{shortId}").describe(
    "The name of a task's branch; {slug} is made of the first words of its " +
      'instruction. Default: "agent/{slug}-{shortId}"',
  ),
  fetch: z.boolean().default(false).describe(
    "Whether the base is fetched from the remote first. Nothing of the " +
      "repository's own branches changes by that. Default: false",
  ),
  remote: line.default("origin").describe(
    'What is fetched from, and pushed to. Default: "origin"',
  ),
  setup: program.optional().describe(
    'A program and its arguments, as ["npm", "ci"], run in a new folder before ' +
      "the work; {configDir} is the folder of the configuration file",
  ),
  copy: z.array(inside).default([]).describe(
    'Files and folders of the user\'s checkout, as ".env", that are copied into ' +
      "a new folder, and never committed",
  ),
  cleanup: program.optional().describe(
    "The same as setup, run when a run has ended; setup runs again before the next",
  ),
  uncommitted: z.enum(["commit", "fail", "leave"]).default("commit").describe(
    "What becomes of what is not committed when the work is done: it is committed; " +
      'or it is not done yet; or it stays so. Default: "commit"',
  ),
  noVerify: z.boolean().default(false).describe(
    "Whether the repository's commit hooks are passed over. Default: false",
  ),
  verify: program.optional().describe(
    "The check of the work, for a processor that has none of its own",
  ),
  onApproved: z.enum(["none", "merge", "pr"]).default("none").describe(
    "What is done with the branch of a task that is done: nothing; it is merged " +
      "into its base; or pushed, and a pull request opened. " +
      'Default: "none"',
  ),
  approval: z.enum(["before-merge", "none"]).optional().describe(
    "Whether a person is asked first. Default: before-merge, where onApproved is " +
      "not none",
  ),
  mergeBy: z.enum(["merge", "rebase"]).default("merge").describe(
    'How a branch comes onto its base. Default: "merge"',
  ),
  forge: z.enum(["gh", "glab"]).default("gh").describe(
    'The program that opens pull requests. Default: "gh"',
  ),
  maxWorkspaces: z.int().min(1).optional().describe(
    "No more than so many folders: further tasks wait until some are removed. " +
      "Default: any number",
  ),
  maxBytes: bytes.optional().describe(
    'The same of their size, as in "10GB". Default: any',
  ),
});

/** The repository of a provider's tasks, as configured. */
export type WorkspaceConfig = z.infer<typeof workspaceConfig>;

/** A text is a folder below which each task has an empty one. */
export const workspaceField = z.union([
  line,
  workspaceConfig,
], { error: 'expected a folder, or an object like { "git": "." }' });
