/**
 * What a person is asked of a task's branch whose work is done.
 *
 * @module
 */

import type { AgentTask, Asked, Outcome } from "../task/task.ts";
import type { TaskWorkspace } from "../task/workspace.ts";
import type { WorkspaceConfig } from "./config.ts";
import { short } from "./merging.ts";
import { shownCounts } from "./shown_facts.ts";

/** Work that is done. */
export type Completed = Extract<Outcome, { kind: "completed" }>;

/** That it can be merged into no branch, and what to do. */
export function noBase(
  { branch, base }: TaskWorkspace,
  { id }: Pick<AgentTask, "id">,
): string {
  const name = /^[0-9a-f]{40,}$/.test(base) ? short(base) : base;
  return `Cannot merge ${branch} into ${name}: that is no branch. Merge it into ` +
    `one: agent-runner merge ${id.slice(0, 8)} --into BRANCH`;
}

/** With a full stop, where it has no end. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  return /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}

/** An outcome that waits for a person's approval. */
export function asking(
  question: string,
  facts: TaskWorkspace,
  outcome: Completed,
): Outcome {
  return {
    kind: "needs_input",
    ...asked(question, facts, outcome),
    ...spentOn(outcome),
  };
}

/** What was found so far is kept for when it is approved. */
export function asked(
  question: string,
  { head }: TaskWorkspace,
  { result, warning }: Completed,
): Asked {
  return {
    question: warning ? `${sentence(question)} ${warning}` : question,
    approval: { of: "merge", ...head !== undefined && { head } },
    ...result !== undefined && { result },
  };
}

/** What is kept of a run, whatever came of it. */
export function spentOn({ usage, printed }: Completed) {
  return { ...usage && { usage }, ...printed && { printed } };
}

/** Whether what is configured may be done. */
export function questionOf(
  { onApproved }: WorkspaceConfig,
  facts: TaskWorkspace,
): string {
  const { branch, base } = facts;
  const questions = {
    none: `Take ${branch} as it is?`,
    merge: `Merge ${branch} into ${base}?`,
    pr: `Open a pull request of ${branch} to ${base}?`,
  };
  return `${questions[onApproved]} ${shownCounts(facts)}`;
}
