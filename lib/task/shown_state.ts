/**
 * What people see of a task's state: more than the state alone says.
 *
 * @module
 */

import { type AgentTask, TASK_STATES, type TaskState } from "./task.ts";
import { parseTrace } from "./trace.ts";

/**
 * Parts of states, each with the state that it is a part of: created that waits for
 * another task; running that waits for its next attempt, or for any runner (it was
 * answered or given back, say); failed because it was cancelled, or was not to run
 * after another one failed; completed with nothing done.
 */
export const STATE_PARTS = {
  blocked: "created",
  retrying: "running",
  queued: "running",
  cancelled: "failed",
  skipped: "failed",
  simulated: "completed",
} as const satisfies Readonly<Record<string, TaskState>>;

/** One of {@linkcode STATE_PARTS}. */
export type StatePart = keyof typeof STATE_PARTS;

/** The states by which people choose tasks. */
export const SHOWN_STATES: readonly ShownState[] = [
  ...TASK_STATES,
  ...Object.keys(STATE_PARTS) as StatePart[],
];

/** One of {@linkcode SHOWN_STATES}. */
export type ShownState = TaskState | StatePart;

/** Where the trace has that nothing was done. Not HandsFree's. */
export const SIMULATED_KEY = "simulated";

/** What the history says of a task that completed so. */
export const SIMULATED_DETAIL = "simulated, nothing was done";

/** What people are told of needs_input. */
export const WAITING_FOR_YOU = "waiting for you";

type Shown =
  & Pick<AgentTask, "state" | "traceText" | "leaseOwner" | "runAt">
  & Partial<Pick<AgentTask, "isBlocked">>;

/** The narrowest of {@linkcode SHOWN_STATES} that a task is in. */
export function shownStateOf(task: Shown): ShownState {
  const { state, traceText, leaseOwner, runAt, isBlocked = false } = task;
  if (state === "created" && isBlocked) return "blocked";
  if (state === "running" && leaseOwner === null) {
    return runAt ? "retrying" : "queued";
  }
  if (state === "failed") {
    if (isCancelled(traceText)) return "cancelled";
    if (isSkipped(traceText)) return "skipped";
  }
  if (state === "completed" && isSimulated(traceText)) return "simulated";
  return state;
}

/** Whether what came of a task was simulated: nothing was done. */
export function isSimulated(traceText: string | null): boolean {
  return has(traceText, SIMULATED_KEY, true);
}

/** Whether a task was simulated. What its creator says of that is not so. */
export function wasSimulated(
  { state, traceText }: Pick<AgentTask, "state" | "traceText">,
): boolean {
  return state !== "created" && isSimulated(traceText);
}

/** Whether a trace says that the task was cancelled. */
export function isCancelled(traceText: string | null): boolean {
  return has(traceText, "result", "cancelled");
}

/** Whether a trace says that the task was skipped. */
export function isSkipped(traceText: string | null): boolean {
  return has(traceText, "result", "skipped");
}

/** Reading a trace costs more than looking for what may be in it. */
function has(text: string | null, key: string, value: string | true): boolean {
  return text !== null && text.includes(`"${key}"`) &&
    parseTrace(text)?.[key] === value;
}
