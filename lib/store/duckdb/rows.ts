/**
 * How tasks and events are read from their tables.
 *
 * @module
 */

import type { TaskJson as PrintedTask } from "../../task/json.ts";
import { SIMULATED_DETAIL } from "../../task/shown_state.ts";
import { printedOf } from "../../task/outcome.ts";
import { usageOf } from "../../task/usage.ts";
import type {
  AgentTask,
  JsonValue,
  TaskEvent,
  TaskEventKind,
} from "../../task/task.ts";
import { parseJson, parseTrace } from "../../task/trace.ts";
import { choiceOf } from "../../task/workspace.ts";
import type { Held } from "../../task/transitions.ts";
import { SET_CHARACTERS } from "../sets.ts";
import { partConditions, shownState, wasSimulated } from "../state_parts.ts";
import type { Connection } from "./connection.ts";

/** How each field of a task is computed from its row; times as ms since 1970. */
export const TASK_FIELDS = {
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
  priority: "coalesce(priority, 0)",
  runAt: "epoch_ms(run_at)",
  attempt: "coalesce(attempt, 0)",
  questions: "coalesce(questions, 0)",
  maxAttempts: "max_attempts",
  timeoutMs: "timeout_ms",
  leaseOwner: "lease_owner",
  leaseExpiresAt: "epoch_ms(lease_expires_at)",
  cancelRequestedAt: "epoch_ms(cancel_requested_at)",
  batch: "batch",
  key: "key",
  tags: "tags",
  ifFailed: "if_failed",
  isBlocked: "coalesce(blocked AND status = 'created', false)",
  workspace: "workspace",
  touches: "touches",
  needsApproval: "coalesce(needs_approval, false)",
  // An infinite time has no epoch; it must not stop a whole pass.
  createdAt: "coalesce(epoch_ms(created_at), 0)",
  updatedAt: "coalesce(epoch_ms(updated_at), 0)",
};

/** Whether a trace has this value; most have not even the key, which is seen fast. */
const traceHas = (key: string, value: JsonValue) =>
  `coalesce(contains(last_update, '"${key}"')
    AND TRY(json_extract(last_update, '$.${key}')) = '${
    JSON.stringify(value)
  }', false)`;

export const IS_SIMULATED = wasSimulated(traceHas);

export const STATE_PART = partConditions(traceHas);

/** The beginning of the error that a trace has; null where there is none. */
export const ERROR =
  "left(TRY(json_extract_string(last_update, '$.error')), 1000)";

/** Holds for the events in which a task was completed and nothing was done. */
export const IS_SIMULATED_END =
  `kind = 'completed' AND detail = '${SIMULATED_DETAIL}'`;

/** What `sql` calls the columns: as JSON does, but that times are times. */
const VIEW_COLUMNS: Readonly<Record<keyof PrintedTask, string>> = {
  id: "id",
  state: TASK_FIELDS.state,
  shown_state: shownState(STATE_PART),
  simulated: IS_SIMULATED,
  user_id: "user_id",
  provider: "provider",
  target_type: TASK_FIELDS.targetType,
  target_ref: TASK_FIELDS.targetRef,
  instruction: "instruction",
  trace: `CASE WHEN json_valid(last_update) THEN last_update::JSON
               ELSE to_json(last_update) END`,
  priority: TASK_FIELDS.priority,
  attempt: TASK_FIELDS.attempt,
  questions: TASK_FIELDS.questions,
  max_attempts: "max_attempts",
  timeout_seconds: "timeout_ms / 1000",
  run_at: "run_at",
  batch: "batch",
  key: "key",
  tags: "CASE WHEN json_valid(tags) THEN tags::JSON ELSE '[]'::JSON END",
  if_failed: "if_failed",
  blocked: TASK_FIELDS.isBlocked,
  repo: "TRY(json_extract_string(workspace, '$.repo'))",
  base: "TRY(json_extract_string(workspace, '$.base'))",
  branch: "TRY(json_extract_string(workspace, '$.branch'))",
  touches:
    "CASE WHEN json_valid(touches) THEN touches::JSON ELSE '[]'::JSON END",
  needs_approval: TASK_FIELDS.needsApproval,
  lease_owner: "lease_owner",
  lease_expires_at: "lease_expires_at",
  cancel_requested_at: "cancel_requested_at",
  created_at: "created_at",
  updated_at: "updated_at",
};

/** Makes the view for `sql`, gone with its connection. */
export const CREATE_TASKS_VIEW = `CREATE TEMP VIEW tasks AS SELECT ${
  Object.entries(VIEW_COLUMNS).map(([name, it]) => `${it} AS ${name}`).join(
    ", ",
  )
} FROM agent_tasks`;

/** The name of a field of a task. */
export type TaskField = keyof typeof TASK_FIELDS;

type TimeField = "createdAt" | "updatedAt";
type OptionalTimeField = "runAt" | "leaseExpiresAt" | "cancelRequestedAt";

type TextField = "tags" | "workspace" | "touches";

/** A task as JSON has it; its lists and its workspace as texts, or null for none. */
export type TaskJson =
  & Omit<AgentTask, TimeField | OptionalTimeField | TextField>
  & { readonly [field in TextField]: string | null }
  & { readonly [field in TimeField]: number }
  & { readonly [field in OptionalTimeField]: number | null };

/** A struct with some of a task's fields, for a SELECT. */
export function taskStruct(fields: readonly TaskField[]): string {
  return `{${
    fields.map((name) => `${name}: ${TASK_FIELDS[name]}`).join(", ")
  }}`;
}

/** A task as {@linkcode TASK_ROW} gives it. */
export interface TaskRow {
  readonly task: TaskJson;
}

const TASK = taskStruct(Object.keys(TASK_FIELDS) as TaskField[]);

/** A struct with a task. */
export const TASK_ROW = `{task: ${TASK}}`;

/** A task and its lease as {@linkcode HELD_ROW} gives them. */
export interface HeldRow extends TaskRow {
  readonly leaseId: string | null;
}

/** A struct with a task and its lease. */
export const HELD_ROW = `{task: ${TASK}, leaseId: lease_id}`;

/** What a task touches, as `lib/store/touches.ts` has it; null where it says nothing. */
export const TOUCH = `CASE WHEN touches IS NOT NULL THEN coalesce(
  TRY(json_extract_string(workspace, '$.repo')), repo_full_name, '')
  || chr(10) || touches END`;

/** Holds for a row whose lease, if it has one, is over. */
export const isFree = (now: string) =>
  `coalesce(lease_expires_at <= ${now}, true)`;

/** Holds for a row whose time has come, or that has none. */
export const isDue = (now: string) => `coalesce(run_at <= ${now}, true)`;

/** The order in which tasks run; `rowid` keeps the order of one batch. */
export const RUN_ORDER = "coalesce(priority, 0) DESC, created_at, rowid";

const TEXT_SIZE = `(coalesce(strlen(instruction), 0)
  + coalesce(strlen(last_update), 0))`;

/**
 * A SELECT of the first of these rows, in that order: those whose texts can be read
 * at once, and one in any case. `rows_found` is how many there were.
 */
export function fittingRows(rows: string, order: string): string {
  return `SELECT * FROM (
    SELECT *, count(*) OVER () AS rows_found, ${TEXT_SIZE} AS text_size,
      sum(text_size) OVER (ORDER BY ${order} ROWS UNBOUNDED PRECEDING)
        AS text_total
    FROM (${rows}))
    WHERE text_total <= ${SET_CHARACTERS} OR text_total = text_size`;
}

/** Makes a task of its row, in place. */
export function taskOf({ task }: TaskRow): AgentTask {
  return Object.assign(task, {
    runAt: dateOf(task.runAt),
    leaseExpiresAt: dateOf(task.leaseExpiresAt),
    cancelRequestedAt: dateOf(task.cancelRequestedAt),
    tags: listOf(task.tags),
    workspace: choiceOf(task.workspace),
    touches: listOf(task.touches),
    createdAt: new Date(task.createdAt),
    updatedAt: new Date(task.updatedAt),
  });
}

const NOTHING: readonly string[] = [];

/** A list of a row; another program may have put anything there. */
export function listOf(text: string | null): readonly string[] {
  if (text === null) return NOTHING;
  const list = parseJson(text);
  return Array.isArray(list) ? list.map(String) : NOTHING;
}

/** A task and the lease that its row has, or that it has none. */
export function heldOf(row: HeldRow): Held {
  const { leaseId } = row;
  const task = taskOf(row);
  const { id: taskId, attempt, leaseOwner } = task;
  const lease = leaseId === null
    ? { taskId, id: null, owner: null, attempt }
    : { taskId, id: leaseId, owner: leaseOwner ?? "", attempt };
  return { task, lease };
}

/** A time that may be missing. */
export function dateOf(ms: number | null): Date | null {
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
  readonly printed?: string | null;
  readonly usage: string | null;
}

/** The columns of an {@linkcode EventRow}, for a SELECT. */
export const EVENT_COLUMNS = `
  id, task_id, kind, epoch_ms(occurred_at) AS occurred_at, attempt, runner,
  detail, usage`;

/** The same with what was printed: too much for a page of all tasks' events. */
export const HISTORY_COLUMNS = `${EVENT_COLUMNS}, printed`;

/** Makes an event of its row. */
export function eventOf(row: EventRow): TaskEvent {
  const printed = printedOf(parseTrace(row.printed ?? null));
  const usage = usageOf(parseTrace(row.usage));
  return {
    id: row.id,
    taskId: row.task_id,
    kind: row.kind as TaskEventKind,
    occurredAt: new Date(row.occurred_at),
    attempt: row.attempt,
    runner: row.runner,
    detail: row.detail,
    ...printed && { printed },
    ...usage && { usage },
  };
}

/** What differs among tasks that were never begun, beside their ids. */
const HELD_FIELDS = [
  "id",
  "userId",
  "provider",
  "targetType",
  "targetRef",
  "instruction",
  "traceText",
  "priority",
  "attempt",
  "questions",
  "maxAttempts",
  "timeoutMs",
  "batch",
  "key",
  "tags",
  "ifFailed",
  "workspace",
  "touches",
  "needsApproval",
  "createdAt",
] as const satisfies readonly TaskField[];

type HeldColumns =
  & {
    readonly [name in (typeof HELD_FIELDS)[number]]: readonly TaskJson[name][];
  }
  & { readonly rowid: readonly number[] };

/** A task that was never begun, and where its row is. */
export interface HeldTask {
  readonly task: AgentTask;
  readonly rowid: number;
}

/** The first tasks of a lease that were never begun, in the order to run them. */
export async function readHeldTasks(
  connection: Connection,
  leaseId: string,
): Promise<HeldTask[]> {
  // A list for each column: reading them so takes half the time of rows.
  const lists = HELD_FIELDS.map((name) =>
    `${name}: list(${TASK_FIELDS[name]})`
  );
  const held = `SELECT *, rowid FROM agent_tasks
    WHERE lease_id = $1 AND status = 'created'`;
  const columns = await connection.json<HeldColumns>(
    `SELECT to_json({${lists.join(", ")}, rowid: list(rowid)}) FROM (
       FROM (${fittingRows(held, RUN_ORDER)}) ORDER BY ${RUN_ORDER})
     HAVING count(*) > 0`,
    [leaseId],
  );
  let createdAt = new Date(NaN);
  return (columns?.id ?? []).map((id, index): HeldTask => {
    const at = <T>(values: readonly T[] = []) => values[index] as T;
    const createdMs = at(columns?.createdAt);
    // One for all that were created together.
    if (createdMs !== createdAt.getTime()) createdAt = new Date(createdMs);
    const task: AgentTask = {
      id,
      userId: at(columns?.userId),
      provider: at(columns?.provider),
      targetType: at(columns?.targetType),
      targetRef: at(columns?.targetRef),
      instruction: at(columns?.instruction),
      state: "created",
      traceText: at(columns?.traceText),
      priority: at(columns?.priority),
      runAt: null,
      attempt: at(columns?.attempt),
      questions: at(columns?.questions),
      maxAttempts: at(columns?.maxAttempts),
      timeoutMs: at(columns?.timeoutMs),
      batch: at(columns?.batch),
      key: at(columns?.key),
      tags: listOf(at(columns?.tags)),
      ifFailed: at(columns?.ifFailed),
      isBlocked: false,
      workspace: choiceOf(at(columns?.workspace)),
      touches: listOf(at(columns?.touches)),
      needsApproval: at(columns?.needsApproval),
      leaseOwner: null,
      leaseExpiresAt: null,
      cancelRequestedAt: null,
      createdAt,
      updatedAt: createdAt,
    };
    return { task, rowid: at(columns?.rowid) };
  });
}
