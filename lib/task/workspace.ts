/**
 * What is known of the repository that a task works on: what the task says of it
 * itself, and what came of its branch, as the trace has it.
 *
 * @module
 */

import type {
  AgentTask,
  Approval,
  JsonObject,
  JsonValue,
  WorkspaceChoice,
} from "./task.ts";
import { parseJson, parseTrace } from "./trace.ts";

/** Where the trace has it. */
export const WORKSPACE_KEY = "workspace";
/** Where the trace has what a person approved last. */
export const APPROVED_KEY = "approved";

/** Where the trace has what a person is asked to approve. */
export const ASKS_KEY = "asks_approval";

/** Where the trace of a retry has what was done and approved before. */
export const DONE_KEY = "done_before";

/** What came of a task's branch, as a trace has it under {@linkcode WORKSPACE_KEY}. */
export type TaskWorkspace = {
  /** The repository: a folder on the machine, or the address that was cloned. */
  readonly repo: string;
  /** The machine that has its folder. */
  readonly host: string;
  /** Its worktree, or its clone. */
  readonly path: string;
  readonly branch: string;
  /** What it is merged into, as configured. */
  readonly base: string;
  /** The commit that the branch began at. */
  readonly baseCommit: string;
  /** Its last commit; left out before it has ended once. */
  readonly head?: string;
  /** How many commits there are from its base to its head. */
  readonly commits?: number;
  readonly files?: number;
  readonly insertions?: number;
  readonly deletions?: number;
  /** It is in its base: as this commit. */
  readonly merged?: string;
  /** The address of its pull request. */
  readonly pullRequest?: string;
};

/** What is noted of a task's changes when no run is under way. */
export interface Amendment {
  readonly kind: (typeof AMENDMENTS)[number];
  readonly detail: string;
  /** What is to be changed of its workspace, where it has one. */
  readonly workspace?: AmendedFacts;
}

/** What an {@linkcode Amendment} may say. */
export const AMENDMENTS = ["merged", "pull_request", "commented"] as const;

/** What came of a branch. Where a task works is not to be amended. */
export type AmendedFacts = Partial<
  Pick<
    TaskWorkspace,
    (typeof OPTIONAL_TEXTS)[number] | (typeof COUNTS)[number]
  >
>;

/** That of a workspace that an {@linkcode Amendment} may change. */
export function amendedFacts(workspace: TaskWorkspace): AmendedFacts {
  return Object.fromEntries(
    [...OPTIONAL_TEXTS, ...COUNTS].filter((name) => name in workspace)
      .map((name) => [name, workspace[name]]),
  );
}

/** What only a run, or a person, puts into a trace; whoever creates a task can't. */
export function ownKeyIn(trace: JsonObject): string | undefined {
  if (taskWorkspaceOf(trace)) return WORKSPACE_KEY;
  if (approvalOf(trace)) return APPROVED_KEY;
  return askedApprovalOf(trace) && ASKS_KEY;
}

/** A text or a number each, so that a wrong one is left out and nothing throws. */
const TEXTS = [
  "repo",
  "host",
  "path",
  "branch",
  "base",
  "baseCommit",
] as const;
const OPTIONAL_TEXTS = ["head", "merged", "pullRequest"] as const;
const COUNTS = ["commits", "files", "insertions", "deletions"] as const;

/** The workspace of a trace; undefined where it has none. Others write traces too. */
export function taskWorkspaceOf(trace: JsonObject): TaskWorkspace | undefined {
  const value = trace[WORKSPACE_KEY];
  if (!isObject(value) || !TEXTS.every((name) => isText(value[name]))) {
    return undefined;
  }
  const kept = [
    ...TEXTS,
    ...OPTIONAL_TEXTS.filter((name) => isText(value[name])),
    ...COUNTS.filter((name) => isCount(value[name])),
  ];
  return Object.fromEntries(
    kept.map((name) => [name, value[name]]),
  ) as TaskWorkspace;
}

/** What was approved last; undefined for nothing. */
export function approvalOf(trace: JsonObject): Approval | undefined {
  const value = trace[APPROVED_KEY];
  const asked = askedOf(value);
  const at = isObject(value) ? value.at : undefined;
  return asked && isText(at) ? { ...asked, at } : undefined;
}

/** The work of the task that another repeats, which a person had approved. */
export type DoneBefore = {
  /** The branch's last commit then. */
  readonly head: string;
  /** What it came to. */
  readonly output?: JsonValue;
};

/** The same, as a trace has it; undefined for nothing. */
export function doneBeforeOf(trace: JsonObject): DoneBefore | undefined {
  const value = trace[DONE_KEY];
  if (!isObject(value) || !isText(value.head)) return undefined;
  const { head, output } = value;
  return { head, ...output !== undefined && { output } };
}

/** What a task that needs input asks to have approved; undefined for nothing. */
export function askedApprovalOf(
  trace: JsonObject,
): Omit<Approval, "at"> | undefined {
  return askedOf(trace[ASKS_KEY]);
}

/** The same, of the text of that key alone. */
export function approvalIn(text: string | null): Approval["of"] | null {
  const value = text === null ? undefined : parseJson(text);
  return askedOf(value)?.of ?? null;
}

/** What a task waits for a person to approve; undefined for nothing. */
export function asksApproval(
  { state, traceText }: Pick<AgentTask, "state" | "traceText">,
): Omit<Approval, "at"> | undefined {
  return state === "needs_input"
    ? askedApprovalOf(parseTrace(traceText) ?? {})
    : undefined;
}

/** Whether a task may not begin before a person has approved it. */
export function needsStart(
  { needsApproval, traceText }: Pick<AgentTask, "needsApproval" | "traceText">,
): boolean {
  return needsApproval && approvalOf(parseTrace(traceText) ?? {}) === undefined;
}

function askedOf(
  value: JsonValue | undefined,
): Omit<Approval, "at"> | undefined {
  if (!isObject(value)) return undefined;
  const { of, head } = value;
  if (of !== "start" && of !== "merge") return undefined;
  return { of, ...isText(head) && { head } };
}

/** What a task says of its own, as its row has it; null for nothing. */
export function choiceOf(text: string | null): WorkspaceChoice | null {
  const value = text === null ? undefined : parseJson(text);
  if (!isObject(value)) return null;
  const { repo, base, branch } = value;
  return {
    ...isText(repo) && { repo },
    ...isText(base) && { base },
    ...isText(branch) && { branch },
  };
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: JsonValue | undefined): value is string {
  return typeof value === "string" && value !== "";
}

function isCount(value: JsonValue | undefined): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
