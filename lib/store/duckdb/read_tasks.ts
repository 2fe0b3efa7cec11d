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
import type { Connection, SqlValue } from "./connection.ts";
import {
  fittingRows,
  STATE_PART,
  TASK_FIELDS,
  TASK_ROW,
  taskOf,
  type TaskRow,
} from "./rows.ts";
import { Values } from "./values.ts";

/** Holds for the tasks that a filter chooses. */
export function chosenBy(filter: TaskFilter, values: Values): string {
  return isChosen(filter, {
    bind: (value) => values.bind(value.toWellFormed()),
    parts: STATE_PART,
    targetRef: TASK_FIELDS.targetRef,
  });
}

/** The tasks that are chosen and for which the condition holds, oldest first. */
export async function chooseTasks(
  connection: Connection,
  filter: TaskFilter,
  conditionOf: (values: Values) => string,
): Promise<ChosenTask[]> {
  const values = new Values();
  return await connection.json<ChosenTask[]>(
    `SELECT to_json(list({id: id, state: status} ORDER BY created_at, rowid))
     FROM agent_tasks
     WHERE ${chosenBy(filter, values)} AND (${conditionOf(values)})`,
    values.list,
  ) ?? [];
}

/** An infinite time has no epoch. */
const CREATED_US = "coalesce(epoch_us(created_at), 0)";

/** The order of pages. */
const NEWEST_FIRST = `${CREATED_US} DESC, rowid DESC`;

interface PlacedRow extends TaskRow {
  readonly us: number;
  /** How many there were, those whose texts did not fit included. */
  readonly found: number;
}

/** The tasks that the rest of a SELECT finds, in its order. */
export async function readTasks(
  connection: Connection,
  rest: string,
  values: readonly SqlValue[],
): Promise<AgentTask[]> {
  // row_number() carries the order of the source into the list.
  const rows = await connection.json<TaskRow[]>(
    `SELECT to_json(list(row ORDER BY position)) FROM (
       SELECT row_number() OVER () AS position, ${TASK_ROW} AS row
       FROM (SELECT * FROM agent_tasks ${rest}))`,
    values,
  ) ?? [];
  return rows.map(taskOf);
}

/** A page of 500 tasks must not be hundreds of megabytes. */
const MAX_LISTED_TRACE = 16_384;

/** What is listed of a trace that is longer, without nulls; of a text, its beginning. */
const LISTED_KEYS = ["simulated", "progress_fraction"];
const LISTED_TEXTS = ["result", "progress", "error", "question", "warning"];
const LISTED_TRACE = `json_merge_patch('{}', to_json({${
  [
    ...LISTED_KEYS.map((key) =>
      `${key}: TRY(json_extract(last_update, '$.${key}'))`
    ),
    ...LISTED_TEXTS.map((key) =>
      `${key}: left(TRY(json_extract_string(last_update, '$.${key}')),
        ${MAX_LISTED_TEXT})`
    ),
  ].join(", ")
}}))::TEXT`;

const SHORTENED = `REPLACE (
  left(instruction, ${MAX_LISTED_TEXT}) AS instruction,
  CASE WHEN strlen(last_update) <= ${MAX_LISTED_TRACE}
    THEN last_update ELSE ${LISTED_TRACE} END AS last_update)`;

/**
 * Holds for what comes after a place. Tasks of one moment are in the order in which
 * they were made; where the last one shown is gone, they are shown again.
 */
function isAfter(place: Place, values: Values): string {
  return `(${CREATED_US}, rowid) < (${values.bind(place.us)}::BIGINT,
    coalesce((SELECT rowid FROM agent_tasks
      WHERE id = ${values.bind(place.id)}::UUID), ${2n ** 63n - 1n}))`;
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
  const found = `SELECT * ${isWhole ? "" : SHORTENED} FROM (
    SELECT *, rowid FROM agent_tasks WHERE ${isWanted}
    ORDER BY ${NEWEST_FIRST} LIMIT ${values.bind(limit + 1)})`;
  const rows = await connection.json<PlacedRow[]>(
    `SELECT to_json(list(struct_insert(${TASK_ROW}, us := ${CREATED_US},
       found := rows_found) ORDER BY ${NEWEST_FIRST}))
     FROM (${fittingRows(found, NEWEST_FIRST)})`,
    values.list,
  ) ?? [];
  const all = new Values();
  const total = await connection.json<number>(
    `SELECT to_json(count(*)) FROM agent_tasks WHERE ${chosenBy(filter, all)}`,
    all.list,
  );
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    next: last && last.found > shown.length
      ? formatPlace({ us: last.us, id: last.task.id })
      : undefined,
    tasks: shown.map(taskOf),
    total: total ?? 0,
  };
}

interface LiveRow {
  readonly waiting: number;
  readonly since: number | null;
  readonly running: number;
}

/** Counts tasks by provider and state, and what waits and runs at a time. */
export async function countTasks(
  connection: Connection,
  at: Date,
): Promise<Counts> {
  const counts = await connection.json<StateCount[]>(
    `SELECT to_json(list(t)) FROM (
       SELECT provider, status AS state, count(*) AS count
       FROM agent_tasks GROUP BY ALL
       ORDER BY count DESC, provider, state) t`,
  );
  const live = await connection.json<LiveRow>(
    `SELECT to_json({waiting: count(*) FILTER (due <= $1),
       since: min(due) FILTER (due <= $1),
       running: count(*) FILTER (status = 'running' AND lease > $1)}) FROM (
       SELECT status, epoch_ms(lease_expires_at) AS lease,
         CASE WHEN cancel_requested_at IS NULL AND blocked IS NOT TRUE
           THEN greatest(
           CASE WHEN status = 'created' AND if_failed IS NULL
             THEN epoch_ms(created_at) ELSE epoch_ms(updated_at) END,
           epoch_ms(run_at), epoch_ms(lease_expires_at), 0) END AS due
       FROM agent_tasks WHERE status IN ('created', 'running'))`,
    [at.getTime()],
  );
  return {
    counts: counts ?? [],
    waiting: live?.waiting ?? 0,
    waitingSince: live?.since ? new Date(live.since) : null,
    inFlight: live?.running ?? 0,
    at,
  };
}
