/**
 * What people see of a task's state: more than the state alone says.
 *
 * @module
 */

import { type AgentTask, TASK_STATES, type TaskState } from "./task.ts";
import { parseTrace } from "./trace.ts";

/**
 * The states by which people choose tasks: those of {@linkcode TASK_STATES}, and
 * two that are a part of one of them: `retrying` of running, `cancelled` of failed.
 */
export const SHOWN_STATES = [...TASK_STATES, "retrying", "cancelled"] as const;

/** One of {@linkcode SHOWN_STATES}. */
export type ShownState = (typeof SHOWN_STATES)[number];

/** Where the trace has that nothing was done. Not HandsFree's. */
export const SIMULATED_KEY = "simulated";

/** What the history says of a task that completed so. */
export const SIMULATED_DETAIL = "simulated, nothing was done";

type Shown = Pick<AgentTask, "state" | "traceText" | "leaseOwner" | "runAt">;

/** The narrowest of {@linkcode SHOWN_STATES} that a task is in. */
export function shownStateOf(task: Shown): TaskState | ShownState {
  const { state, traceText, leaseOwner, runAt } = task;
  if (state === "running" && leaseOwner === null && runAt) return "retrying";
  if (state === "failed" && has(traceText, "result", "cancelled")) {
    return "cancelled";
  }
  return state;
}

/** Whether what came of a task was simulated: nothing was done. */
export function isSimulated(traceText: string | null): boolean {
  return has(traceText, SIMULATED_KEY, true);
}

/** Reading a trace costs more than looking for what may be in it. */
function has(text: string | null, key: string, value: string | true): boolean {
  return text !== null && text.includes(`"${key}"`) &&
    parseTrace(text)?.[key] === value;
}
