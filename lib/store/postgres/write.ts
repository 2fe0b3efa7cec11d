/**
 * Writing what becomes of tasks, in sets: what transitions make of the rows as
 * they are now, a row of history for each, and what that means for those behind.
 *
 * @module
 */

import type { Transition } from "../../task/task.ts";
import type { Held, TaskRow } from "../../task/transitions.ts";
import { endedBatches } from "../batches.ts";
import { type Change, Changes, type WrittenEvent } from "../changes.ts";
import { RefusedRowsError } from "../refused.ts";
import { fittingSets } from "../sets.ts";
import { settleBehind, type SettleStore } from "../settle.ts";
import { batchReadsOf } from "./batches.ts";
import type { Connection } from "./connection.ts";
import { settlingBehind } from "./dependencies.ts";
import { explanationOf, isRefusal } from "./explain.ts";
import { HELD, heldOf, type HeldRow, jsonOf, uuids } from "./rows.ts";

/** The error itself, or that these rows are refused where that is what it says. */
export function refusalOf(error: unknown, ids: readonly string[]): unknown {
  return isRefusal(error)
    ? new RefusedRowsError(ids, explanationOf(error), error)
    : error;
}

/**
 * Does what changes the rows of these tasks.
 *
 * @throws {RefusedRowsError} where one of them can't be written: roll back, and try
 * fewer.
 */
export async function changing<T>(
  ids: readonly string[],
  change: () => Promise<T>,
): Promise<T> {
  try {
    return await change();
  } catch (error) {
    throw refusalOf(error, ids);
  }
}

/**
 * The tasks that there are, by their ids; nobody else changes them until the
 * transaction ends. In the order of their ids, so that two do not wait for each
 * other.
 */
export async function readHeld(
  connection: Connection,
  ids: readonly string[],
): Promise<Map<string, Held>> {
  const rows = await connection.rows<HeldRow>(
    `SELECT ${HELD} FROM agent_tasks WHERE id = ANY ($1::uuid[])
     ORDER BY id FOR UPDATE`,
    [uuids(ids)],
  );
  return new Map(rows.map((row) => [row.id, heldOf(row)]));
}

/** What came of writing transitions. */
export interface Written {
  readonly results: readonly ("written" | "lost")[];
  /** What waited for those that have ended may be claimed now. */
  readonly hasUnblocked: boolean;
}

/**
 * Applies transitions in their order, in the transaction that is open on the
 * connection. Says of each whether its fence held.
 *
 * @throws {RefusedRowsError} where a row can't be written: roll back, and try
 * fewer.
 */
export async function writeTransitions(
  connection: Connection,
  transitions: readonly Transition[],
  at: Date,
): Promise<Written> {
  const { changes, results } = await applyTo(connection, transitions, at);
  const hasUnblocked = await writeChanges(connection, changes, { at });
  return { results, hasUnblocked };
}

/** Reads the rows, and works out what they become. */
async function applyTo(
  connection: Connection,
  transitions: readonly Transition[],
  at: Date,
) {
  const ids = [...new Set(transitions.map(({ lease }) => lease.taskId))];
  const rows = await connection.rows<TaskRow & { readonly id: string }>(
    `SELECT id, status AS state, lease_id AS "leaseId", attempt, questions,
       last_update AS "traceText", run_at AS "runAt", batch,
       touches IS NOT NULL AS "hasTouches"
     FROM agent_tasks WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE`,
    [uuids(ids)],
  );
  const changes = new Changes(new Map(rows.map((row) => [row.id, row])), at);
  const results = transitions.map((it) => changes.apply(it));
  return { changes, results };
}

/** What an UPDATE sets where nobody works on a task any more. */
export const NO_LEASE =
  "lease_id = NULL, lease_owner = NULL, lease_expires_at = NULL";

/** Options for {@linkcode writeChanges}. */
export interface WriteOptions {
  readonly at: Date;
  /** What all of the rows get. @default {those that they have} */
  readonly lease?: {
    readonly leaseId: string;
    readonly owner: string;
    readonly expiresAt: Date;
  };
}

/** The lease of a row that keeps its own, or that is claimed, or that has ended. */
const KEPT_LEASE = ["lease_id", "lease_owner", "lease_expires_at"]
  .map((name) => `${name} = CASE WHEN o.keeps THEN t.${name} END`).join(", ");
const NEW_LEASE = `lease_id = $3, lease_owner = $4, lease_expires_at = $5,
  rescues = rescues +
    CASE WHEN t.status = 'running' AND t.lease_id IS NOT NULL THEN 1 ELSE 0 END`;

/**
 * Writes what has changed, and settles what waits for what has ended, in the
 * transaction that is open on the connection. Says whether any may be claimed now.
 *
 * @throws {RefusedRowsError} where a row can't be written.
 */
export async function writeChanges(
  connection: Connection,
  changes: Changes<TaskRow>,
  options: WriteOptions,
): Promise<boolean> {
  await writeAll(connection, changes, options);
  const { ended } = changes;
  const store = settleStoreOf(connection, options.at);
  return await settleBehind(store, ended) || changes.hasLetGo;
}

/** Writes rows and their history, but not what follows. */
async function writeAll(
  connection: Connection,
  changes: Changes<TaskRow>,
  { at, lease }: WriteOptions,
): Promise<void> {
  const lengthOf = ({ after }: Change<TaskRow>) => after.traceText?.length ?? 0;
  for (const set of fittingSets(changes.rows, lengthOf)) {
    const ids = set.map(({ id }) => id);
    await changing(ids, () => writeRows(connection, set, { at, lease }));
  }
  for (const events of changes.events) {
    await changing(
      events.map(({ id }) => id),
      () => writeEvents(connection, events, at),
    );
  }
}

/** What {@linkcode settleBehind} works with. */
export function settleStoreOf(connection: Connection, at: Date): SettleStore {
  return {
    apply: async (transitions) => {
      const { changes } = await applyTo(connection, transitions, at);
      await writeAll(connection, changes, { at });
      return changes.ended;
    },
    behind: (ids) => settlingBehind(connection, ids),
    free: async (free) => {
      await changing(free, () =>
        connection.run(
          `UPDATE agent_tasks SET blocked = false, updated_at = $2
         WHERE id = ANY ($1::uuid[])`,
          [uuids(free), at],
        ));
    },
    endedBatches: (ended) => endedBatches(batchReadsOf(connection), ended),
    tell: (events) => writeEvents(connection, events, at),
  };
}

/** A trace that stays as it is need not be sent, and not be written. */
async function writeRows(
  connection: Connection,
  changes: readonly Change<TaskRow>[],
  { at, lease }: WriteOptions,
): Promise<void> {
  const hasTrace = changes.some(({ before, after }) =>
    before.traceText !== after.traceText
  );
  const rows = changes.map(({ id, after }) => ({
    id,
    status: after.state,
    ...hasTrace ? { last_update: after.traceText } : {},
    attempt: after.attempt,
    questions: after.questions,
    run_at: after.runAt,
    keeps: after.leaseId !== null,
  }));
  await connection.run(
    `UPDATE agent_tasks t SET updated_at = $2, status = o.status,
       ${hasTrace ? "last_update = o.last_update," : ""}
       attempt = o.attempt, questions = o.questions, run_at = o.run_at,
       ${lease ? NEW_LEASE : KEPT_LEASE}
     FROM json_to_recordset($1::json) AS o (id uuid, status text,
       last_update text, attempt integer, questions integer,
       run_at timestamptz, keeps boolean)
     WHERE t.id = o.id`,
    [
      jsonOf(rows),
      at,
      ...lease ? [lease.leaseId, lease.owner, lease.expiresAt] : [],
    ],
  );
}

/** Writes history, in the transaction that is open on the connection. */
export async function writeEvents(
  connection: Connection,
  events: readonly WrittenEvent[],
  at: Date,
): Promise<void> {
  const lengthOf = ({ detail, printed }: WrittenEvent) =>
    (detail?.length ?? 0) + (printed?.length ?? 0);
  for (const set of fittingSets(events, lengthOf)) {
    // In their order: their numbers follow it.
    await connection.run(
      `INSERT INTO agent_task_events
         (task_id, kind, attempt, runner, detail, printed, usage, occurred_at)
       SELECT id, kind, attempt, runner, detail, printed, usage, $2
       FROM json_to_recordset($1::json) AS e (id uuid, kind text,
         attempt integer, runner text, detail text, printed text,
         usage text)`,
      [jsonOf(set), at],
    );
  }
}
