/**
 * Tasks and events as the API has them, and as this program has them.
 *
 * @module
 */

import type { z } from "@hono/zod-openapi";
import type { eventSchema, taskSchema } from "../api/schemas.ts";
import type {
  AgentTask,
  JsonObject,
  JsonValue,
  NewTask,
  TaskEvent,
  TaskEventKind,
  TaskState,
} from "../../task/task.ts";
import { stringifyJson } from "../../task/trace.ts";

/** A task of the API. */
export function taskOf(json: z.infer<typeof taskSchema>): AgentTask {
  return {
    id: json.id,
    userId: json.user_id,
    provider: json.provider,
    targetType: json.target_type,
    targetRef: json.target_ref,
    instruction: json.instruction,
    state: stateOf(json.state),
    traceText: traceTextOf(json.trace),
    priority: json.priority,
    runAt: dateOf(json.run_at),
    attempt: json.attempt,
    maxAttempts: json.max_attempts,
    timeoutMs: json.timeout_seconds === null
      ? null
      : Math.round(json.timeout_seconds * 1_000),
    leaseOwner: json.lease_owner,
    leaseExpiresAt: dateOf(json.lease_expires_at),
    cancelRequestedAt: dateOf(json.cancel_requested_at),
    createdAt: new Date(json.created_at),
    updatedAt: new Date(json.updated_at),
  };
}

/** An event of the API. */
export function eventOf(json: z.infer<typeof eventSchema>): TaskEvent {
  return {
    id: json.id,
    taskId: json.task_id,
    // A later version may know more kinds; they are shown as they are.
    kind: json.kind as TaskEventKind,
    occurredAt: new Date(json.occurred_at),
    attempt: json.attempt,
    runner: json.runner,
    detail: json.detail,
  };
}

/** A task to create. */
export function newTaskToJson(task: NewTask): JsonObject {
  const fields: Readonly<Record<string, JsonValue | null | undefined>> = {
    id: task.id,
    instruction: task.instruction,
    provider: task.provider,
    user: task.userId,
    target: task.targetRef,
    target_type: task.targetType,
    trace: task.trace,
    priority: task.priority,
    run_at: task.runAt?.toISOString(),
    attempts: task.maxAttempts,
    timeout: task.timeoutMs && task.timeoutMs / 1_000,
  };
  const given = Object.entries(fields).filter((field) => isGiven(field));
  return Object.fromEntries(given as [string, JsonValue][]);
}

function isGiven([, value]: readonly [string, unknown]): boolean {
  return value !== undefined && value !== null;
}

/** A state; another program may have made one up, as in the table itself. */
export function stateOf(text: string): TaskState {
  return text as TaskState;
}

/** The text of a trace: an object, or whatever text stood there. */
export function traceTextOf(trace: unknown): string | null {
  if (trace === null || trace === undefined) return null;
  return typeof trace === "string" ? trace : stringifyJson(trace as JsonValue);
}

/** A time that may be missing. */
export function dateOf(text: string | null): Date | null {
  return text === null ? null : new Date(text);
}
