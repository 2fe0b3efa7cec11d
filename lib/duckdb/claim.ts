/**
 * Claiming tasks in sets.
 *
 * @module
 */

import type { ClaimOptions, ClaimResult } from "../store.ts";
import type { ClaimedTask, Transition } from "../task.ts";
import { stringifyJson } from "../trace.ts";
import { cancel, fail, startedPatch } from "../transitions.ts";
import type { Connection } from "./connection.ts";
import { inWindow, readClaimed } from "./claimed.ts";
import { applyTransitions } from "./record.ts";
import { leaseOf, RUN_ORDER, TASK_ROW, taskOf, type TaskRow } from "./rows.ts";

/**
 * Holds for a row that may be claimed. A CASE, because ORs keep DuckDB from
 * scanning only a set's rows: 20 ms a claim instead of 4.
 */
const claimable = (now: string, cutoff: string) => `
  CASE status
    WHEN 'created' THEN coalesce(run_at <= ${now}::TIMESTAMPTZ, true)
    WHEN 'running' THEN cancel_requested_at IS NULL
      AND coalesce(run_at <= ${now}::TIMESTAMPTZ, true)
      AND coalesce(lease_expires_at <= ${cutoff}::TIMESTAMPTZ, true)
    ELSE false
  END`;

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
  #size = 0;
  #next = 0;
  #filledAt = 0;

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
        ended.push(...await endDead(connection, options));
        await this.#fill(connection, options);
        isFresh = true;
        if (this.#size === 0) break;
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
    { now, providerRoom }: ClaimOptions,
  ): boolean {
    const age = now.getTime() - this.#filledAt;
    // With limits, what may be claimed is another set each time.
    return providerRoom !== undefined && this.#next > 0 ||
      connection !== this.#connection || this.#next >= this.#size ||
      age < 0 || age >= WINDOW_AGE_MS;
  }

  async #fill(
    connection: Connection,
    { limit, now, leaseCutoff = now, providerRoom }: ClaimOptions,
  ): Promise<void> {
    await connection.run(
      "CREATE OR REPLACE TEMP TABLE claim_window (position INTEGER, row BIGINT)",
    );
    const room = JSON.stringify(
      [...providerRoom ?? []].map(([provider, room]) => ({ provider, room })),
    );
    const limited = `
      SELECT rowid, priority, created_at FROM agent_tasks
      LEFT JOIN (SELECT unnest(from_json($3,
        '[{"provider": "TEXT", "room": "BIGINT"}]'), recursive := true))
        USING (provider)
      WHERE ${claimable("$1", "$2")}
      QUALIFY room IS NULL OR
        row_number() OVER (PARTITION BY provider ORDER BY ${RUN_ORDER}) <= room`;
    const unlimited = `
      SELECT rowid, priority, created_at FROM agent_tasks
      WHERE ${claimable("$1", "$2")}`;
    this.#size = await connection.run(
      `INSERT INTO claim_window
       SELECT row_number() OVER (ORDER BY ${RUN_ORDER}) - 1, rowid
       FROM (${providerRoom ? limited : unlimited}
             ORDER BY ${RUN_ORDER} LIMIT ${
        providerRoom ? limit : WINDOW_ROWS
      })`,
      [
        now.toISOString(),
        leaseCutoff.toISOString(),
        ...(providerRoom ? [room] : []),
      ],
    );
    this.#connection = connection;
    this.#next = 0;
    this.#filledAt = now.getTime();
  }

  async #lease(
    connection: Connection,
    options: ClaimOptions,
  ): Promise<ClaimedTask[]> {
    const { limit, owner, leaseMs, now, leaseCutoff = now } = options;
    const leaseId = crypto.randomUUID();
    const start = this.#next;
    const end = Math.min(start + limit, this.#size);
    const expiresAt = new Date(now.getTime() + leaseMs);
    // No RETURNING: it rewrites every row and its index entry, five times as
    // dear as this and a SELECT by lease.
    const count = await connection.run(
      `UPDATE agent_tasks SET
         status = 'running', attempt = coalesce(attempt, 0) + 1, run_at = NULL,
         lease_id = $1, lease_owner = $2, lease_expires_at = $3::TIMESTAMPTZ,
         updated_at = $4::TIMESTAMPTZ, last_update = coalesce(last_update, $5)
       WHERE ${inWindow("$6", "$7")} AND ${claimable("$4", "$8")}`,
      [
        leaseId,
        owner,
        expiresAt.toISOString(),
        now.toISOString(),
        stringifyJson(startedPatch(now)),
        start,
        end,
        leaseCutoff.toISOString(),
      ],
    );
    this.#next = end;
    if (count === 0) return [];
    const leased = { ...options, leaseId, start, end, count };
    return await readClaimed(connection, leased);
  }
}

/**
 * Ends what must not be claimed again: tasks whose runner died at each of their
 * attempts, and cancelled tasks whose runner did not live to see it.
 */
async function endDead(
  connection: Connection,
  { now, leaseCutoff = now, maxAttempts }: ClaimOptions,
): Promise<Transition[]> {
  const rows = await connection.json<TaskRow[]>(
    `SELECT to_json(list(${TASK_ROW})) FROM agent_tasks
       WHERE status = 'running'
         AND coalesce(lease_expires_at <= $1::TIMESTAMPTZ, true)
         AND (cancel_requested_at IS NOT NULL OR (lease_id IS NOT NULL
           AND attempt >= coalesce(max_attempts, $2)))`,
    [leaseCutoff.toISOString(), maxAttempts],
  ) ?? [];
  const transitions = rows.map((row) => {
    const held = { task: taskOf(row), lease: leaseOf(row) };
    const { attempt, leaseOwner, cancelRequestedAt } = held.task;
    if (cancelRequestedAt) return cancel(held, now);
    return fail(
      held,
      now,
      `The runner died at each of ${attempt} attempts; ` +
        `the last one was ${leaseOwner}`,
    );
  });
  await applyTransitions(connection, transitions, now);
  return transitions;
}
