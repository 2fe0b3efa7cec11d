/**
 * How the HTTP API shows tasks and events.
 *
 * @module
 */

import { fractionOf } from "../../task/progress.ts";
import { eventToJson, taskToJson } from "../../cli/render.ts";
import type {
  AgentTask,
  JsonObject,
  JsonValue,
  TaskEvent,
} from "../../task/task.ts";
import { parseTrace } from "../../task/trace.ts";

/** The most characters of a text of the trace in a list. */
const MAX_LENGTH = 500;

/** A task in a list: of its trace, only what a person looks for first. */
export function listedTaskToJson(task: AgentTask): JsonObject {
  const { trace: _, ...rest } = taskToJson(task);
  const trace = parseTrace(task.traceText);
  const { progress, error, question } = trace ?? {};
  return {
    ...rest,
    progress: textOf(progress),
    progress_fraction: fractionOf(trace) ?? null,
    error: task.state === "failed" ? textOf(error) : null,
    question: textOf(question),
  };
}

function textOf(value: JsonValue | undefined): string | null {
  return typeof value === "string" ? value.slice(0, MAX_LENGTH) : null;
}

/** An event of any task. */
export function taskEventToJson(event: TaskEvent): JsonObject {
  return { task_id: event.taskId, ...eventToJson(event) };
}
