/**
 * How tasks and events are read from their tables.
 *
 * @module
 */

import type {
  AgentTask,
  Lease,
  NoLease,
  TaskEvent,
  TaskEventKind,
  TaskState,
} from "../task.ts";

/** A task as the queries below give it; times are milliseconds since 1970. */
export interface TaskRow {
  readonly id: string;
  readonly user_id: string;
  readonly provider: string;
  readonly repo_full_name: string | null;
  readonly issue_number: number | null;
  readonly pr_number: number | null;
  readonly instruction: string | null;
  readonly status: string;
  readonly last_update: string | null;
  readonly priority: number;
  readonly run_at: number | null;
  readonly attempt: number;
  readonly max_attempts: number | null;
  readonly timeout_ms: number | null;
  readonly lease_id: string | null;
  readonly lease_owner: string | null;
  readonly lease_expires_at: number | null;
  readonly cancel_requested_at: number | null;
  readonly created_at: number | null;
  readonly updated_at: number | null;
}

/** The columns of a {@linkcode TaskRow}, for a SELECT. */
export const TASK_COLUMNS = `
  id, user_id, provider, repo_full_name, issue_number, pr_number, instruction,
  status, last_update, coalesce(priority, 0) AS priority,
  epoch_ms(run_at) AS run_at, coalesce(attempt, 0) AS attempt, max_attempts,
  timeout_ms,
  lease_id, lease_owner, epoch_ms(lease_expires_at) AS lease_expires_at,
  epoch_ms(cancel_requested_at) AS cancel_requested_at,
  epoch_ms(created_at) AS created_at, epoch_ms(updated_at) AS updated_at`;

/** The order in which tasks run; `rowid` keeps the order of one batch. */
export const RUN_ORDER = "coalesce(priority, 0) DESC, created_at, rowid";

/** Makes a task of its row. */
export function taskOf(row: TaskRow): AgentTask {
  const number = row.issue_number ?? row.pr_number;
  return {
    id: row.id,
    userId: row.user_id,
    provider: row.provider,
    targetType: row.issue_number !== null
      ? "issue"
      : row.pr_number !== null
      ? "pr"
      : null,
    targetRef: number === null ? null : `${row.repo_full_name ?? ""}#${number}`,
    instruction: row.instruction,
    state: row.status as TaskState,
    traceText: row.last_update,
    priority: row.priority,
    runAt: dateOf(row.run_at),
    attempt: row.attempt,
    maxAttempts: row.max_attempts,
    timeoutMs: row.timeout_ms,
    leaseOwner: row.lease_owner,
    leaseExpiresAt: dateOf(row.lease_expires_at),
    cancelRequestedAt: dateOf(row.cancel_requested_at),
    // An infinite time has no epoch; it must not stop a whole pass.
    createdAt: new Date(row.created_at ?? 0),
    updatedAt: new Date(row.updated_at ?? 0),
  };
}

/** The lease that a row has, or that it has none. */
export function leaseOf(row: TaskRow): Lease | NoLease {
  const { id: taskId, attempt, lease_id: id, lease_owner: owner } = row;
  return id === null
    ? { taskId, id, owner: null, attempt }
    : { taskId, id, owner: owner ?? "", attempt };
}

function dateOf(ms: number | null): Date | null {
  return ms === null ? null : new Date(ms);
}

/** An event as its query gives it. */
export interface EventRow {
  readonly id: number;
  readonly task_id: string;
  readonly kind: string;
  readonly occurred_at: number;
  readonly attempt: number;
  readonly runner: string | null;
  readonly detail: string | null;
}

/** The columns of an {@linkcode EventRow}, for a SELECT. */
export const EVENT_COLUMNS = `
  id, task_id, kind, epoch_ms(occurred_at) AS occurred_at, attempt, runner,
  detail`;

/** Makes an event of its row. */
export function eventOf(row: EventRow): TaskEvent {
  return {
    id: row.id,
    taskId: row.task_id,
    kind: row.kind as TaskEventKind,
    occurredAt: new Date(row.occurred_at),
    attempt: row.attempt,
    runner: row.runner,
    detail: row.detail,
  };
}
