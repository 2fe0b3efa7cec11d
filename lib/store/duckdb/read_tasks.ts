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
import { formatPlace, parsePlace } from "../place.ts";
import { isInPart } from "../state_parts.ts";
import type { Connection, SqlValue } from "./connection.ts";
import {
  fittingRows,
  STATE_PART,
  TASK_FIELDS,
  TASK_ROW,
  taskOf,
  type TaskRow,
} from "./rows.ts";

/** Holds for the tasks that a filter chooses; $1 and $2 are {@linkcode chosenBy}. */
export const IS_CHOSEN = `
  ($1::TEXT IS NULL OR list_contains($1::JSON::TEXT[], status)
    OR ${isInPart(STATE_PART, (part) => `contains($1, '"${part}"')`)})
  AND ($2::TEXT IS NULL OR provider = $2)`;

/** The values for {@linkcode IS_CHOSEN}. */
export function chosenBy({ states, provider }: TaskFilter): SqlValue[] {
  return [states ? JSON.stringify(states) : null, provider ?? null];
}

/** The tasks that are chosen and for which the condition holds, oldest first. */
export async function chooseTasks(
  connection: Connection,
  filter: TaskFilter,
  { condition, values = [] }: {
    readonly condition: string;
    /** From $3 on. */
    readonly values?: readonly SqlValue[];
  },
): Promise<ChosenTask[]> {
  return await connection.json<ChosenTask[]>(
    `SELECT to_json(list({id: id, state: status} ORDER BY created_at, rowid))
     FROM agent_tasks WHERE ${IS_CHOSEN} AND (${condition})`,
    [...chosenBy(filter), ...values],
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

/** Holds for the tasks that are asked for; $3 is the text in lower case. */
const IS_WANTED = `${IS_CHOSEN}
  AND ($3::TEXT IS NULL OR starts_with(id::TEXT, $3)
    OR contains(lower(instruction), $3)
    OR contains(lower(${TASK_FIELDS.targetRef}), $3))`;

/**
 * Holds for what comes after a place. Tasks of one moment are in the order in which
 * they were made; where the last one shown is gone, they are shown again.
 */
const IS_AFTER = `$4::BIGINT IS NULL OR (${CREATED_US}, rowid) < ($4::BIGINT,
  coalesce((SELECT rowid FROM agent_tasks WHERE id = $5::UUID),
    ${2n ** 63n - 1n}))`;

/** Reads a page, newest first. */
export async function readPage(
  connection: Connection,
  { text, limit, after, isWhole = false, ...filter }: PageOptions,
): Promise<TaskPage> {
  const wanted = [...chosenBy(filter), text?.toLowerCase() ?? null];
  const place = after === undefined ? undefined : parsePlace(after);
  const found = `SELECT * ${isWhole ? "" : SHORTENED} FROM (
    SELECT *, rowid FROM agent_tasks WHERE ${IS_WANTED} AND (${IS_AFTER})
    ORDER BY ${NEWEST_FIRST} LIMIT $6)`;
  const rows = await connection.json<PlacedRow[]>(
    `SELECT to_json(list(struct_insert(${TASK_ROW}, us := ${CREATED_US},
       found := rows_found) ORDER BY ${NEWEST_FIRST}))
     FROM (${fittingRows(found, NEWEST_FIRST)})`,
    // One more than is shown, to know whether there are more.
    [...wanted, place?.us ?? null, place?.id ?? null, limit + 1],
  ) ?? [];
  const total = await connection.json<number>(
    `SELECT to_json(count(*)) FROM agent_tasks WHERE ${IS_WANTED}`,
    wanted,
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
           CASE status WHEN 'created' THEN epoch_ms(created_at)
             ELSE epoch_ms(updated_at) END,
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
