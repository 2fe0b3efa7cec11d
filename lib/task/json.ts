/**
 * Tasks and their events as JSON: the one form that commands print, that the HTTP
 * API speaks, and that its client reads.
 *
 * @module
 */

import {
  type AgentTask,
  type JsonObject,
  type JsonValue,
  type NewTask,
  NOW,
  type TaskEdit,
  type TaskEvent,
  type TaskEventKind,
  type TaskResult,
  type TaskState,
  type WorkspaceChoice,
} from "./task.ts";
import { shownStateOf, wasSimulated } from "./shown_state.ts";
import { parseTrace, stringifyJson } from "./trace.ts";

/** A task with the names of its table. */
export type TaskJson = ReturnType<typeof taskToJson>;

/** An event with the names of its table. */
export type EventJson = ReturnType<typeof eventToJson>;

/** A task with the names of its table. */
export function taskToJson(task: AgentTask) {
  return {
    id: task.id,
    state: task.state as string,
    shown_state: shownStateOf(task) as string,
    simulated: wasSimulated(task),
    user_id: task.userId,
    provider: task.provider,
    target_type: task.targetType,
    target_ref: task.targetRef,
    instruction: task.instruction,
    trace: traceToJson(task.traceText),
    priority: task.priority,
    attempt: task.attempt,
    questions: task.questions,
    max_attempts: task.maxAttempts,
    timeout_seconds: task.timeoutMs === null ? null : task.timeoutMs / 1_000,
    run_at: timeToJson(task.runAt),
    batch: task.batch,
    key: task.key,
    tags: [...task.tags],
    if_failed: task.ifFailed,
    blocked: task.isBlocked,
    repo: task.workspace?.repo ?? null,
    base: task.workspace?.base ?? null,
    branch: task.workspace?.branch ?? null,
    touches: [...task.touches],
    needs_approval: task.needsApproval,
    lease_owner: task.leaseOwner,
    lease_expires_at: timeToJson(task.leaseExpiresAt),
    cancel_requested_at: timeToJson(task.cancelRequestedAt),
    created_at: task.createdAt.toISOString(),
    updated_at: task.updatedAt.toISOString(),
  };
}

/** The task that {@linkcode taskToJson} wrote. */
export function taskFromJson(json: TaskJson): AgentTask {
  const { timeout_seconds: seconds } = json;
  return {
    id: json.id,
    userId: json.user_id,
    provider: json.provider,
    targetType: json.target_type,
    targetRef: json.target_ref,
    instruction: json.instruction,
    // Another program may have made one up, as in the table itself.
    state: json.state as TaskState,
    traceText: traceFromJson(json.trace),
    priority: json.priority,
    runAt: timeFromJson(json.run_at),
    attempt: json.attempt,
    questions: json.questions,
    maxAttempts: json.max_attempts,
    timeoutMs: seconds === null ? null : Math.round(seconds * 1_000),
    batch: json.batch,
    key: json.key,
    tags: json.tags,
    ifFailed: json.if_failed,
    isBlocked: json.blocked,
    workspace: workspaceFromJson(json),
    touches: json.touches,
    needsApproval: json.needs_approval,
    leaseOwner: json.lease_owner,
    leaseExpiresAt: timeFromJson(json.lease_expires_at),
    cancelRequestedAt: timeFromJson(json.cancel_requested_at),
    createdAt: new Date(json.created_at),
    updatedAt: new Date(json.updated_at),
  };
}

function workspaceFromJson(
  { repo, base, branch }: Pick<TaskJson, "repo" | "base" | "branch">,
): WorkspaceChoice | null {
  if ((repo ?? base ?? branch) === null) return null;
  return {
    ...repo !== null && { repo },
    ...base !== null && { base },
    ...branch !== null && { branch },
  };
}

/** An event with the names of its table. */
export function eventToJson(event: TaskEvent) {
  return {
    id: event.id,
    task_id: event.taskId,
    kind: event.kind as string,
    occurred_at: event.occurredAt.toISOString(),
    attempt: event.attempt,
    runner: event.runner,
    detail: event.detail,
    ...event.printed && { printed: { ...event.printed } },
    ...event.usage && { usage: { ...event.usage } },
  };
}

/** The event that {@linkcode eventToJson} wrote. */
export function eventFromJson(json: EventJson): TaskEvent {
  return {
    id: json.id,
    taskId: json.task_id,
    // A later version may know more kinds; they are shown as they are.
    kind: json.kind as TaskEventKind,
    occurredAt: new Date(json.occurred_at),
    attempt: json.attempt,
    runner: json.runner,
    detail: json.detail,
    ...json.printed && { printed: json.printed },
    ...json.usage && { usage: json.usage },
  };
}

/** What came of a task, for the one that waited for it. */
export function resultToJson(result: TaskResult): JsonObject {
  const { id, key, provider, instruction, state, output, error } = result;
  return {
    id,
    key,
    provider,
    instruction,
    state,
    output: output ?? null,
    ...error !== undefined && { error },
    ...result.workspace && { workspace: result.workspace },
    ...result.isTruncated && { truncated: true },
  };
}

/** A new task with the fields of {@linkcode TASK_FIELDS}; what is not set is left out. */
export function newTaskToJson(task: Partial<NewTask>): JsonObject {
  const fields: Readonly<Record<string, JsonValue | undefined>> = {
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
    after: task.after && [...task.after],
    if_failed: task.ifFailed,
    batch: task.batch,
    key: task.key,
    key_for: task.keyForMs && task.keyForMs / 1_000,
    replace: task.replaces,
    tags: task.tags && [...task.tags],
    ...task.workspace,
    touches: task.touches && [...task.touches],
    needs_approval: task.needsApproval,
  };
  const json: JsonObject = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined && value !== null) json[name] = value;
  }
  return json;
}

/** What is to be changed of a task, with the fields of {@linkcode EDIT_FIELDS}. */
export function editToJson(edit: TaskEdit): JsonObject {
  return { ...newTaskToJson(edit), ...edit.runAt === null && { run_at: NOW } };
}

/** The text of a trace as an object; as the text that it is, where it is none. */
export function traceToJson(text: string | null): JsonValue {
  return parseTrace(text) ?? text;
}

/** The text of a trace: of an object, or whatever text stood there. */
export function traceFromJson(trace: JsonValue): string | null {
  if (trace === null || typeof trace === "string") return trace;
  return stringifyJson(trace);
}

/** A time that may be missing. */
export function timeToJson(time: Date | null): string | null {
  return time && time.toISOString();
}

/** A time that may be missing. */
export function timeFromJson(text: string | null): Date | null {
  return text === null ? null : new Date(text);
}
