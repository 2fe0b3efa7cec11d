/**
 * Which tasks a claim may take.
 *
 * @module
 */

import { type ClaimOptions, OTHERS } from "../contract.ts";
import { type Room, roomOf } from "../decisions.ts";
import type { Connection } from "./connection.ts";
import type { Range } from "./places.ts";
import {
  fittingRows,
  HELD_ROW,
  type HeldRow,
  isFree,
  RUN_ORDER,
  TOUCH,
} from "./rows.ts";
import { Values } from "./values.ts";

/** The attempts that count, of those that its runner's death allows it. */
const SPENT = "coalesce(attempt, 0) - coalesce(questions, 0)";
const limitOf = (maxAttempts: string) =>
  `coalesce(max_attempts, ${maxAttempts})`;

/** Holds for a begun row whose runner died at its last attempt. */
export const isDead = (now: string, maxAttempts: string) => `
  status = 'running' AND lease_id IS NOT NULL AND ${isFree(now)}
  AND ${SPENT} >= ${limitOf(maxAttempts)}`;

/** Holds for a row that may be claimed; `due` is what its `run_at` must reach. */
export const isClaimable = (now: string, due: string, maxAttempts: string) => `
  CASE status
    WHEN 'created' THEN coalesce(run_at <= ${due}, true) AND ${isFree(now)}
      AND blocked IS NOT TRUE
    WHEN 'running' THEN cancel_requested_at IS NULL
      AND coalesce(run_at <= ${due}, true) AND ${isFree(now)}
      AND NOT (lease_id IS NOT NULL AND ${SPENT} >= ${limitOf(maxAttempts)})
    ELSE false
  END`;

/**
 * Holds for a claimable row that a runner died with, and that begins its last
 * attempt: it may have been what killed the runner.
 */
const isSuspect = (maxAttempts: string) => `
  status = 'running' AND (lease_id IS NOT NULL OR coalesce(rescues, 0) > 0)
  AND ${SPENT} + 1 >= ${limitOf(maxAttempts)}`;

/**
 * Holds for a claimable row that may be held without being begun: it never was, and
 * keeps no other from running.
 */
export const MAY_BE_HELD = "status = 'created' AND touches IS NULL";

/** Options for {@linkcode claimTasks}. */
export interface ClaimTasksOptions extends ClaimOptions {
  readonly now: Date;
  /** Ids of tasks that are left out. */
  readonly except: readonly string[];
  /** What all runners together leave. */
  readonly globalRoom?: Room | undefined;
  /** What is paused. */
  readonly pausedBatches?: readonly string[];
  /** What may not be touched, of what waits. */
  readonly heldTouches?: readonly string[];
  /** Where the last hold ended. */
  readonly frontier: {
    next(count: number): Range | undefined;
    reached(rowids: readonly number[]): void;
  };
}

/** A task that may be claimed. */
export interface Candidate extends HeldRow {
  readonly isSuspect: boolean;
  /** What it touches; null where it says nothing. */
  readonly touch: string | null;
  /** The place of its row. */
  readonly seq: number;
  /** How many there were, those whose texts did not fit included. */
  readonly found: number;
}

/** In the order in which they are to run. */
export async function findCandidates(
  connection: Connection,
  options: ClaimTasksOptions,
  rest: (values: Values) => readonly string[] = () => [],
): Promise<readonly Candidate[]> {
  const values = new Values();
  // Which they are, first: to sort all columns of a million rows takes twice as long.
  const rows = `SELECT *, rowid FROM agent_tasks WHERE rowid IN (
    SELECT rowid FROM (${wantedRows(options, values, rest(values))})
    ORDER BY ${RUN_ORDER} LIMIT ${values.bind(options.limit)})`;
  return await readCandidates(connection, rows, { ...options, values });
}

/** Those of these that are there; whoever asks knows that they may be claimed. */
export async function findThese(
  connection: Connection,
  ids: readonly string[],
  options: Pick<ClaimTasksOptions, "maxAttempts">,
): Promise<readonly Candidate[]> {
  const values = new Values();
  const rows = `SELECT *, rowid FROM agent_tasks
    WHERE id IN (SELECT ${values.ids(ids)})`;
  return await readCandidates(connection, rows, { ...options, values });
}

async function readCandidates(
  connection: Connection,
  rows: string,
  { values, ...options }: Pick<ClaimTasksOptions, "maxAttempts"> & {
    readonly values: Values;
  },
): Promise<readonly Candidate[]> {
  const maxAttempts = `${values.bind(options.maxAttempts)}::INTEGER`;
  return await connection.json<Candidate[]>(
    `SELECT to_json(list(struct_insert(${HELD_ROW},
       isSuspect := ${isSuspect(maxAttempts)}, found := rows_found,
       seq := rowid, touch := ${TOUCH})
       ORDER BY ${RUN_ORDER}))
     FROM (${fittingRows(rows, RUN_ORDER)})`,
    values.list,
  ) ?? [];
}

/** A SELECT of the rows that may be claimed, and for which the rest holds. */
export function wantedRows(
  options: Omit<ClaimTasksOptions, "frontier">,
  values: Values,
  rest: readonly string[] = [],
): string {
  const { now, except, taskId, providers } = options;
  const { pausedBatches = [], heldTouches = [] } = options;
  const at = values.time(now);
  const maxAttempts = `${values.bind(options.maxAttempts)}::INTEGER`;
  const due = taskId === undefined ? at : "'infinity'::TIMESTAMPTZ";
  const wanted = [isClaimable(at, due, maxAttempts), ...rest];
  if (taskId !== undefined) wanted.push(`id = ${values.bind(taskId)}::UUID`);
  if (providers) wanted.push(isOneOf(values.bind(JSON.stringify(providers))));
  if (except.length > 0) {
    wanted.push(`id NOT IN (SELECT ${values.ids(except)})`);
  }
  if (pausedBatches.length > 0) {
    const paused = values.bind(JSON.stringify(pausedBatches));
    wanted.push(`coalesce(batch NOT IN (
      SELECT unnest(${paused}::JSON::TEXT[])), true)`);
  }
  if (heldTouches.length > 0) {
    wanted.push(`(touches IS NULL OR NOT ${isTouching(heldTouches, values)})`);
  }
  return rowsWithin(roomOf(options), wanted.join(" AND "), values);
}

/** Holds for a row of a task that touches one of these. */
export function isTouching(touches: readonly string[], values: Values): string {
  const list = values.bind(JSON.stringify(touches));
  return `${TOUCH} IN (SELECT unnest(${list}::JSON::TEXT[]))`;
}

/** Holds for a row of one of the providers, given as a JSON list. */
export const isOneOf = (providers: string) =>
  `provider IN (SELECT unnest(${providers}::JSON::TEXT[]))`;

/** The same for few names, by which less is read. */
export function isNamed(providers: readonly string[], values: Values): string {
  return `provider IN (${providers.map((it) => values.bind(it)).join(", ")})`;
}

/** The candidates; with limits of providers, those that there is room for. */
function rowsWithin(
  room: Room | undefined,
  condition: string,
  values: Values,
): string {
  if (!room) {
    return `SELECT *, rowid FROM agent_tasks WHERE ${condition}`;
  }
  // JSON has no Infinity: it is null there, and in the query too.
  const { [OTHERS]: others = null, ...named } = Object.fromEntries(room);
  const rooms = Object.entries(named).map(([name, room]) => ({ name, room }));
  return `
    SELECT t.*, t.rowid FROM agent_tasks t
    LEFT JOIN (SELECT unnest(from_json(${values.bind(JSON.stringify(rooms))},
      '[{"name": "TEXT", "room": "BIGINT"}]'), recursive := true)) r
      ON t.provider = r.name
    WHERE ${condition}
    QUALIFY coalesce(row_number() OVER (
        PARTITION BY coalesce(r.name, '${OTHERS}') ORDER BY ${RUN_ORDER})
      <= CASE WHEN r.name IS NULL
        THEN ${values.bind(JSON.stringify(others))}::JSON::BIGINT
        ELSE r.room END, true)`;
}
