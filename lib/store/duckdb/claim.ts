/**
 * Claiming tasks in sets.
 *
 * @module
 */

import { type ClaimOptions, type ClaimResult, OTHERS } from "../contract.ts";
import type { ClaimedTask, Transition } from "../../task/task.ts";
import {
  answeredElsewhere,
  cancel,
  expire,
  fail,
  type Held,
  isAnsweredElsewhere,
} from "../../task/transitions.ts";
import type { Connection, SqlValue } from "./connection.ts";
import { leaseRows } from "./leases.ts";
import { applyTransitions } from "./record.ts";
import { HELD_ROW, type HeldRow, leaseOf, RUN_ORDER, taskOf } from "./rows.ts";
import { Stage } from "./stage.ts";

/**
 * Holds for a row that may be claimed. A CASE, because ORs keep DuckDB from
 * scanning only a set's rows: 20 ms a claim instead of 4.
 */
export const claimable = (now: string, cutoff: string) => `
  CASE status
    WHEN 'created' THEN coalesce(run_at <= ${now}::TIMESTAMPTZ, true)
    WHEN 'running' THEN cancel_requested_at IS NULL
      AND coalesce(run_at <= ${now}::TIMESTAMPTZ, true)
      AND coalesce(lease_expires_at <= ${cutoff}::TIMESTAMPTZ, true)
    ELSE false
  END`;

/**
 * Holds for a row that must be ended: its runner died at each attempt, or nobody
 * is there any more to see that it was cancelled.
 */
export const isDead = (cutoff: string, maxAttempts: string) => `
  status IN ('running', 'needs_input')
  AND coalesce(lease_expires_at <= ${cutoff}::TIMESTAMPTZ, true)
  AND (cancel_requested_at IS NOT NULL OR (lease_id IS NOT NULL
    AND status = 'running' AND attempt >= coalesce(max_attempts, ${maxAttempts})))`;

/** Holds for a row whose question nobody answered in time. */
export const isUnanswered = (now: string) => `
  status = 'needs_input' AND cancel_requested_at IS NULL
  AND run_at <= ${now}::TIMESTAMPTZ`;

/** Holds for a row that another program may have answered. */
const mayBeAnswered = (now: string) => `
  status = 'running' AND cancel_requested_at IS NULL AND lease_id IS NULL
  AND run_at > ${now}::TIMESTAMPTZ AND contains(last_update, '"answer_by"')`;

/** A part of the candidates. */
interface Part {
  /** Holds for its rows; without a scan of the others. */
  readonly isIn: (start: string, end: string) => string;
  readonly start: number;
  readonly end: number;
}

/** For candidates by their numbers in the window. */
const inWindow = (start: string, end: string) => `
  rowid IN (SELECT row FROM claim_window
            WHERE number >= ${start} AND number < ${end})`;

/** For rows that lie next to each other: a tenth faster, all in all. */
const inRange = (start: string, end: string) =>
  `rowid >= ${start} AND rowid < ${end}`;

/** Candidates that are sorted and kept at a time. */
const WINDOW_ROWS = 100_000;
/** For how long a window's order counts, while the file stays open. */
const WINDOW_AGE_MS = 1_000;

/**
 * Claims tasks, a window of candidates at a time: sorting the whole backlog at
 * every claim would make a task of a long queue dearer than one of a short one.
 */
export class Claimer {
  #connection: Connection | undefined;
  #next = 0;
  #end = 0;
  /**
   * What to add to a number for its row; null where that differs, or where it is
   * no exact number: a row's place in its own transaction.
   */
  #offset: number | null = null;
  #hasClaimed = false;
  #filledAt = 0;
  /** Which tasks the window is for. */
  #filter = "";

  /** Claims in the transaction that is open on the connection. */
  async claim(
    connection: Connection,
    options: ClaimOptions,
  ): Promise<ClaimResult> {
    const ended: Transition[] = [];
    const claimed: ClaimedTask[] = [];
    let isFresh = false;
    while (claimed.length < options.limit) {
      if (this.#isSpent(connection, options)) {
        if (isFresh) break;
        ended.push(...await endOver(connection, options));
        await this.#fill(connection, options);
        isFresh = true;
        if (this.#next === this.#end) break;
      }
      const limit = options.limit - claimed.length;
      const more = await this.#lease(connection, {
        ...options,
        limit,
      });
      claimed.push(...more);
    }
    return { claimed, ended };
  }

  /** The window was rolled back with its transaction. */
  forget(): void {
    this.#connection = undefined;
  }

  #isSpent(
    connection: Connection,
    { now, providerRoom, ...options }: ClaimOptions,
  ): boolean {
    if (filterOf(options) !== this.#filter) return true;
    const age = now.getTime() - this.#filledAt;
    // With limits, what may be claimed is another set each time.
    return providerRoom !== undefined && this.#hasClaimed ||
      connection !== this.#connection || this.#next >= this.#end ||
      age < 0 || age >= WINDOW_AGE_MS;
  }

  async #fill(
    connection: Connection,
    options: ClaimOptions,
  ): Promise<void> {
    const { limit, now, leaseCutoff = now, providerRoom } = options;
    const size = providerRoom ? limit : WINDOW_ROWS;
    const first = await Stage.of(connection).reserve("claim_window", size);
    const values: SqlValue[] = [dueBy(options), leaseCutoff.toISOString()];
    const bind = (value: SqlValue) => `$${values.push(value)}`;
    const isWanted = `${claimable("$1", "$2")} ${onlyWanted(options, bind)}`;
    const candidates = providerRoom
      ? withinRoom(isWanted, providerRoom, bind)
      : `SELECT rowid, priority, created_at FROM agent_tasks WHERE ${isWanted}`;
    const count = await connection.run(
      // Numbers follow the order of the subquery: sorting again takes as long.
      `INSERT INTO claim_window
       SELECT row_number() OVER () - 1 + ${bind(first)}, rowid
       FROM (${candidates} ORDER BY ${RUN_ORDER} LIMIT ${size})`,
      values,
    );
    this.#connection = connection;
    this.#offset = await connection.json<number>(
      `SELECT to_json(min(row - number)) FROM claim_window
       WHERE number >= $1
       HAVING min(row - number) = max(row - number) AND max(row) <= $2`,
      [first, Number.MAX_SAFE_INTEGER],
    );
    this.#hasClaimed = false;
    this.#next = first;
    this.#end = first + count;
    this.#filledAt = now.getTime();
    this.#filter = filterOf(options);
  }

  async #lease(
    connection: Connection,
    options: ClaimOptions,
  ): Promise<ClaimedTask[]> {
    const { limit, now, leaseCutoff = now } = options;
    const next = Math.min(this.#next + limit, this.#end);
    const { isIn, start, end } = this.#part(next);
    const claimed = await leaseRows(connection, options, {
      condition: `${isIn("$1", "$2")} AND ${claimable("$3", "$4")}`,
      values: [start, end, dueBy(options), leaseCutoff.toISOString()],
    });
    this.#next = next;
    this.#hasClaimed = true;
    return claimed;
  }

  /** The window's part from the next candidate on. */
  #part(end: number): Part {
    const start = this.#next;
    const offset = this.#offset;
    return offset === null
      ? { isIn: inWindow, start, end }
      : { isIn: inRange, start: start + offset, end: end + offset };
  }
}

/** A `run_at` of then or before has come. */
function dueBy({ now, taskId }: ClaimOptions): string {
  return taskId === undefined ? now.toISOString() : "infinity";
}

/** The same text for the same tasks. */
function filterOf({ taskId, providers }: Partial<ClaimOptions>): string {
  return JSON.stringify([taskId, providers]);
}

/** Leaves out what is not asked for. */
function onlyWanted(
  { taskId, providers }: Partial<ClaimOptions>,
  bind: (value: string) => string,
): string {
  const conditions: string[] = [];
  if (taskId !== undefined) conditions.push(`id = ${bind(taskId)}::UUID`);
  if (providers) conditions.push(isOneOf(bind(JSON.stringify(providers))));
  return conditions.map((condition) => `AND ${condition}`).join(" ");
}

/** Holds for a row of one of the providers, given as a JSON list. */
export const isOneOf = (providers: string) =>
  `provider IN (SELECT unnest(${providers}::JSON::TEXT[]))`;

/** The candidates that their providers have room for. */
function withinRoom(
  isWanted: string,
  providerRoom: ReadonlyMap<string, number>,
  bind: (value: string) => string,
): string {
  // JSON has no Infinity: it is null there, and in the query too.
  const { [OTHERS]: others = null, ...named } = Object.fromEntries(
    providerRoom,
  );
  const rooms = Object.entries(named).map(([name, room]) => ({ name, room }));
  return `
    SELECT rowid, priority, created_at,
      CASE WHEN name IS NULL THEN ${bind(JSON.stringify(others))}::JSON::BIGINT
        ELSE room END AS places
    FROM agent_tasks
    LEFT JOIN (SELECT unnest(from_json(${bind(JSON.stringify(rooms))},
      '[{"name": "TEXT", "room": "BIGINT"}]'), recursive := true))
      ON provider = name
    WHERE ${isWanted}
    QUALIFY places IS NULL OR row_number() OVER (
      PARTITION BY coalesce(name, '${OTHERS}') ORDER BY ${RUN_ORDER}) <= places`;
}

/**
 * Ends what must not be claimed again, and finds what another program answered
 * by setting it running.
 */
async function endOver(
  connection: Connection,
  { now, leaseCutoff = now, maxAttempts, taskId }: ClaimOptions,
): Promise<Transition[]> {
  // Apart from each other, because DuckDB then knows from its statistics that
  // there are no such rows, mostly: 1 ms instead of 15.
  const rows = await connection.json<{ row: HeldRow; isOver: boolean }[]>(
    `SELECT to_json(list({row: ${HELD_ROW}, isOver: isOver})) FROM (
       SELECT *, rowid, true AS isOver FROM agent_tasks
       WHERE ${isDead("$2", "$3")}
       UNION ALL
       SELECT *, rowid, status = 'needs_input' AS isOver FROM agent_tasks
       WHERE run_at IS NOT NULL
         AND ((${isUnanswered("$1")}) OR (${mayBeAnswered("$1")})))
     WHERE $4::UUID IS NULL OR id = $4::UUID`,
    [
      now.toISOString(),
      leaseCutoff.toISOString(),
      maxAttempts,
      taskId ?? null,
    ],
  ) ?? [];
  const ended: Transition[] = [];
  const answered: Transition[] = [];
  for (const { row, isOver } of rows) {
    const held = { task: taskOf(row), lease: leaseOf(row) };
    if (isOver) ended.push(endOf(held, now));
    else if (isAnsweredElsewhere(held.task)) {
      answered.push(answeredElsewhere(held));
    }
  }
  await applyTransitions(connection, [...ended, ...answered], now);
  return ended;
}

function endOf(held: Held, now: Date): Transition {
  const { state, attempt, leaseOwner, cancelRequestedAt } = held.task;
  if (cancelRequestedAt) return cancel(held, now);
  if (state === "needs_input") return expire(held, now);
  return fail(
    held,
    now,
    `The runner died at each of ${attempt} attempts; ` +
      `the last one was ${leaseOwner}`,
  );
}
