/**
 * How tasks and events are read from their tables.
 *
 * @module
 */

import { printedOf } from "../../task/outcome.ts";
import { usageOf } from "../../task/usage.ts";
import { SIMULATED_DETAIL } from "../../task/shown_state.ts";
import type {
  AgentTask,
  JsonValue,
  TaskEvent,
  TaskEventKind,
} from "../../task/task.ts";
import { parseTrace } from "../../task/trace.ts";
import type { Held } from "../../task/transitions.ts";
import { SET_CHARACTERS } from "../sets.ts";
import { partConditions, wasSimulated } from "../state_parts.ts";
import { storable } from "./connection.ts";

/** How each field of a task is computed from its row. */
export const TASK_FIELDS: Readonly<Record<keyof AgentTask, string>> = {
  id: "id",
  userId: "user_id",
  provider: "provider",
  targetType: `CASE WHEN issue_number IS NOT NULL THEN 'issue'
                    WHEN pr_number IS NOT NULL THEN 'pr' END`,
  targetRef: `coalesce(repo_full_name, '') || '#' ||
              coalesce(issue_number, pr_number)`,
  instruction: "instruction",
  state: "status",
  traceText: "last_update",
  priority: "priority",
  runAt: "run_at",
  attempt: "attempt",
  questions: "questions",
  maxAttempts: "max_attempts",
  timeoutMs: "timeout_ms",
  leaseOwner: "lease_owner",
  leaseExpiresAt: "lease_expires_at",
  cancelRequestedAt: "cancel_requested_at",
  batch: "batch",
  key: "key",
  tags: "coalesce(tags::json, '[]'::json)",
  ifFailed: "if_failed",
  workspace: "coalesce(workspace::json, 'null'::json)",
  touches: "coalesce(touches::json, '[]'::json)",
  needsApproval: "needs_approval",
  isBlocked: "(blocked AND status = 'created')",
  createdAt: "created_at",
  updatedAt: "updated_at",
};

/** Some of a task's fields, for a SELECT. */
export function fieldsOf(names: readonly (keyof AgentTask)[]): string {
  return names.map((name) => `${TASK_FIELDS[name]} AS "${name}"`).join(", ");
}

/** A task, for a SELECT. */
export const TASK = fieldsOf(Object.keys(TASK_FIELDS) as (keyof AgentTask)[]);

/** A task and its lease, for a SELECT. */
export const HELD = `${TASK}, lease_id AS "leaseId"`;

/** A task and its lease as {@linkcode HELD} gives them. */
export interface HeldRow extends AgentTask {
  readonly leaseId: string | null;
}

/** A task and the lease that its row has, or that it has none. */
export function heldOf({ leaseId, ...task }: HeldRow): Held {
  const { id: taskId, attempt, leaseOwner } = task;
  const lease = leaseId === null
    ? { taskId, id: null, owner: null, attempt }
    : { taskId, id: leaseId, owner: leaseOwner ?? "", attempt };
  return { task, lease };
}

/** Whether a trace has this value. */
const traceHas = (key: string, value: JsonValue) =>
  `coalesce(trace_scalar(last_update, '${key}')::text = '${
    JSON.stringify(value)
  }', false)`;

export const IS_SIMULATED = wasSimulated(traceHas);

export const STATE_PART = partConditions(traceHas);

/** The beginning of the error that a trace has; null where there is none. */
export const ERROR = "left(trace_value(last_update, 'error'), 1000)";

/** Holds for the events in which a task was completed and nothing was done. */
export const IS_SIMULATED_END =
  `kind = 'completed' AND detail = '${SIMULATED_DETAIL}'`;

/** Holds for a task that another repeats. */
export const WAS_RETRIED = `EXISTS (
  SELECT FROM agent_tasks again WHERE again.retry_of = agent_tasks.id)`;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The id of the task that a new one repeats, as its trace names it. */
export function retriedBy(trace: string | null): string | null {
  if (!trace?.includes('"retry_of"')) return null;
  const id = parseTrace(trace)?.retry_of;
  return typeof id === "string" && UUID.test(id) ? id : null;
}

/** The order in which tasks run; `seq` keeps the order of one batch. */
export const RUN_ORDER = "priority DESC, created_at, seq";

/** How many bytes a task's texts have: known without reading them. */
export const TEXT_SIZE = `(coalesce(octet_length(instruction), 0)
  + coalesce(octet_length(last_update), 0))`;

/**
 * A SELECT of the first of these rows, in that order: those whose texts can be read
 * at once, and one in any case. `rows_found` is how many there were; `size` is what
 * the rows have as `text_size`.
 */
export function fittingRows(rows: string, order: string): string {
  return `SELECT * FROM (
    SELECT *, count(*) OVER ()::integer AS rows_found,
      sum(text_size) OVER (ORDER BY ${order} ROWS UNBOUNDED PRECEDING)
        AS text_total
    FROM (${rows}) sized) totalled
    WHERE text_total <= ${SET_CHARACTERS} OR text_total = text_size`;
}

/** An event as its query gives it. */
export interface EventRow {
  readonly id: number;
  readonly xid: string;
  readonly taskId: string;
  readonly kind: string;
  readonly occurredAt: Date;
  readonly attempt: number;
  readonly runner: string | null;
  readonly detail: string | null;
  readonly printed?: string | null;
  readonly usage: string | null;
}

/** The columns of an {@linkcode EventRow}, for a SELECT. */
export const EVENT = `id, xid::text AS xid, task_id AS "taskId", kind,
  occurred_at AS "occurredAt", attempt, runner, detail, usage`;

/** Makes an event of its row. */
export function eventOf(
  { xid: _, printed, usage, ...row }: EventRow,
): TaskEvent {
  const kept = printedOf(parseTrace(printed ?? null));
  const used = usageOf(parseTrace(usage));
  return {
    ...row,
    kind: row.kind as TaskEventKind,
    ...kept && { printed: kept },
    ...used && { usage: used },
  };
}

/** What a task touches, as `lib/store/touches.ts` has it; null where it says nothing. */
export const TOUCH = `CASE WHEN touches IS NOT NULL THEN
  coalesce(workspace::json ->> 'repo', repo_full_name, '')
  || chr(10) || touches END`;

/** UUIDs as one value: for `ANY ($1::uuid[])`. */
export function uuids(ids: readonly string[]): string {
  return `{${ids.join(",")}}`;
}

/** Holds for a row of one of the providers, given as a JSON list; all for null. */
export const isOneOf = (providers: string) =>
  `(${providers}::json IS NULL OR provider IN (
    SELECT json_array_elements_text(${providers}::json)))`;

/** The JSON text of rows whose texts the server can hold: no half characters, no NUL. */
export function jsonOf(rows: readonly unknown[]): string {
  return JSON.stringify(
    rows,
    (_key, value) => typeof value === "string" ? storable(value) : value,
  );
}
