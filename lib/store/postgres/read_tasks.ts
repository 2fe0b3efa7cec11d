/**
 * Reading tasks: one by one, page by page, and counted.
 *
 * @module
 */

import type { AgentTask } from "../../task/task.ts";
import {
  type ChosenTask,
  type Counts,
  MAX_LISTED_TEXT,
  type PageOptions,
  type StateCount,
  type TaskFilter,
  type TaskPage,
} from "../contract.ts";
import { isChosen } from "../filter.ts";
import { formatPlace, parsePlace, type Place } from "../place.ts";
import { type Connection, type SqlValue, storable } from "./connection.ts";
import {
  fittingRows,
  STATE_PART,
  TASK,
  TASK_FIELDS,
  TEXT_SIZE,
} from "./rows.ts";
import { Values } from "./values.ts";

/** Holds for the tasks that a filter chooses. */
export function chosenBy(filter: TaskFilter, values: Values): string {
  return isChosen(filter, {
    bind: (value) => values.bind(storable(value)),
    parts: STATE_PART,
    targetRef: TASK_FIELDS.targetRef,
  });
}

/** The tasks that are chosen and for which the condition holds, oldest first. */
export function chooseTasks(
  connection: Connection,
  filter: TaskFilter,
  conditionOf: (values: Values) => string,
): Promise<ChosenTask[]> {
  const values = new Values();
  return connection.rows<ChosenTask>(
    `SELECT id, status AS state FROM agent_tasks
     WHERE ${chosenBy(filter, values)} AND (${conditionOf(values)})
     ORDER BY created_at, seq`,
    values.list,
  );
}

/** The tasks that the rest of a SELECT finds, in its order. */
export function readTasks(
  connection: Connection,
  rest: string,
  values: readonly SqlValue[],
): Promise<AgentTask[]> {
  return connection.rows<AgentTask>(
    `SELECT ${TASK} FROM agent_tasks ${rest}`,
    values,
  );
}

/** The order of pages. */
const NEWEST_FIRST = "created_at DESC, seq DESC";

/** A page of 500 tasks must not be hundreds of megabytes. */
const MAX_LISTED_TRACE = 16_384;

/** What is listed of a trace that is longer, without nulls; of a text, its beginning. */
const LISTED_KEYS = ["simulated", "progress_fraction"];
const LISTED_TEXTS = ["result", "progress", "error", "question", "warning"];
const LISTED_TRACE = `json_strip_nulls(json_build_object(${
  [
    ...LISTED_KEYS.map((key) =>
      `'${key}', trace_scalar(last_update, '${key}')`
    ),
    ...LISTED_TEXTS.map((key) =>
      `'${key}', left(trace_value(last_update, '${key}'), ${MAX_LISTED_TEXT})`
    ),
  ].join(", ")
}))::text`;

/** A task with its long texts cut, and how many bytes are left of them. */
const SHORTENED = `
  SELECT *, coalesce(octet_length(instruction), 0)
    + coalesce(octet_length(last_update), 0) AS text_size
  FROM (SELECT id, seq, user_id, provider, repo_full_name, issue_number, pr_number,
    left(instruction, ${MAX_LISTED_TEXT}) AS instruction, status,
    CASE WHEN octet_length(last_update) <= ${MAX_LISTED_TRACE}
      THEN last_update ELSE ${LISTED_TRACE} END AS last_update,
    priority, run_at, attempt, questions, max_attempts, timeout_ms, batch, key,
    tags, if_failed, blocked, workspace, touches, needs_approval, lease_owner, lease_expires_at, cancel_requested_at, created_at, updated_at`;

/**
 * Holds for what comes after a place. Tasks of one moment are in the order in which
 * they were made; where the last one shown is gone, they are shown again.
 */
function isAfter(place: Place, values: Values): string {
  return `(created_at, seq) <
    ('epoch'::timestamptz +
      ${values.bind(place.us)}::bigint * interval '1 microsecond',
    coalesce((SELECT seq FROM agent_tasks
      WHERE id = ${values.bind(place.id)}::uuid), ${2n ** 63n - 1n}))`;
}

interface PlacedTask extends AgentTask {
  readonly us: number;
  /** How many there were, those whose texts did not fit included. */
  readonly found: number;
}

/** Reads a page, newest first. */
export async function readPage(
  connection: Connection,
  { limit, after, isWhole = false, ...filter }: PageOptions,
): Promise<TaskPage> {
  const values = new Values();
  const isWanted = after === undefined
    ? chosenBy(filter, values)
    : `${chosenBy(filter, values)} AND ${isAfter(parsePlace(after), values)}`;
  // One more than is shown, to know whether there are more.
  const found = `SELECT * FROM agent_tasks WHERE ${isWanted}
    ORDER BY ${NEWEST_FIRST} LIMIT ${values.bind(limit + 1)}`;
  const sized = isWhole
    ? `SELECT *, ${TEXT_SIZE} AS text_size FROM (${found}) found`
    : `${SHORTENED} FROM (${found}) found) short`;
  const rows = await connection.rows<PlacedTask>(
    `SELECT ${TASK}, rows_found AS found,
       floor(extract(epoch FROM created_at) * 1000000)::bigint AS us
     FROM (${fittingRows(sized, NEWEST_FIRST)}) fitting
     ORDER BY ${NEWEST_FIRST}`,
    values.list,
  );
  const all = new Values();
  const [count] = await connection.rows<{ total: number }>(
    `SELECT count(*) AS total FROM agent_tasks WHERE ${chosenBy(filter, all)}`,
    all.list,
  );
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    next: last && last.found > shown.length ? formatPlace(last) : undefined,
    tasks: shown.map(({ us: _us, found: _found, ...task }) => task),
    total: count?.total ?? 0,
  };
}

interface LiveRow {
  readonly waiting: number;
  readonly since: Date | null;
  readonly running: number;
}

/** Counts tasks by provider and state, and what waits and runs at a time. */
export async function countTasks(
  connection: Connection,
  at: Date,
): Promise<Counts> {
  const counts = await connection.rows<StateCount>(
    `SELECT provider, status AS state, count(*) AS count
     FROM agent_tasks GROUP BY provider, status
     ORDER BY count DESC, provider, state`,
  );
  const [live] = await connection.rows<LiveRow>(
    `SELECT count(*) FILTER (WHERE due <= $1) AS waiting,
       min(due) FILTER (WHERE due <= $1) AS since,
       count(*) FILTER (WHERE status = 'running' AND lease_expires_at > $1)
         AS running
     FROM (
       SELECT status, lease_expires_at,
         CASE WHEN cancel_requested_at IS NULL AND NOT blocked THEN greatest(
           CASE WHEN status = 'created' AND if_failed IS NULL THEN created_at
             ELSE updated_at END,
           run_at, lease_expires_at) END AS due
       FROM agent_tasks WHERE status IN ('created', 'running')) open`,
    [at],
  );
  return {
    counts,
    waiting: live?.waiting ?? 0,
    waitingSince: live?.since ?? null,
    inFlight: live?.running ?? 0,
    at,
  };
}
