/**
 * What a task waits for a person to say, and how to say it.
 *
 * @module
 */

import type { AgentTask, Approval } from "../task/task.ts";
import { asksApproval } from "../task/workspace.ts";

/** What is approved: `its start` */
export const APPROVED: Readonly<Record<Approval["of"], string>> = {
  start: "its start",
  merge: "its changes",
};

/** `an answer`, or `your approval of its start` */
export function awaitedText(
  task: Pick<AgentTask, "state" | "traceText">,
): string {
  const asked = asksApproval(task);
  return asked ? `your approval of ${APPROVED[asked.of]}` : "an answer";
}

/** The command that answers, or approves. */
export function sayWith(
  task: Pick<AgentTask, "id" | "state" | "traceText">,
): string {
  const short = task.id.slice(0, 8);
  return asksApproval(task)
    ? `agent-runner approve ${short}`
    : `agent-runner answer ${short} "…"`;
}
