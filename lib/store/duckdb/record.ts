/**
 * Writing what became of runs, in sets.
 *
 * @module
 */

import type { RecordResult } from "../contract.ts";
import {
  isFinal,
  type Lease,
  type NoLease,
  type Transition,
} from "../../task/task.ts";
import {
  type Batch,
  batchesOf,
  type Item,
  roundsOf,
  type Span,
} from "./batches.ts";
import type { Connection } from "./connection.ts";
import { readHeld } from "./read_tasks.ts";
import { notifyEnded } from "./notifications.ts";
import { Stage } from "./stage.ts";

/** Each row of the set from $1 on, with the outcome that is its. */
const STAGED = `
  SELECT o.*, d.rowid AS position, d.first, d.first_id, d.last, d.last_id,
    unnest(range(d.first, d.last + 1)) AS place
  FROM incoming d JOIN outcomes o
    ON d.outcome = o.number AND d.outcome >= $1 AND o.number >= $1`;

/**
 * The row is still the task's. While the file stays open, rows may move up or to
 * the end, but not past each other: where the first and the last of a span are in
 * their places, and none is missing, the others are too.
 */
const IS_IN_PLACE = `
  (o.place <> o.first OR t.id = o.first_id)
  AND (o.place <> o.last OR t.id = o.last_id)`;

/**
 * The row is still the run's. IS TRUE, because DuckDB would hash all of it for
 * the join otherwise, long texts included: a third more for the update.
 */
const FENCE = `
  t.rowid = o.place AND (
    ${IS_IN_PLACE} AND t.status = o.from_state
    AND t.lease_id IS NOT DISTINCT FROM o.lease_id
    AND t.last_update IS NOT DISTINCT FROM o.seen) IS TRUE`;

/** Some of the rows are not as the runs last saw them. */
export class RowsChangedError extends Error {
  override readonly name = "RowsChangedError";
}

/** Transitions that are ready to be applied. */
export interface Prepared {
  readonly rounds: readonly (readonly Batch[])[];
  /** What comes of them where the assumption holds. */
  readonly results: readonly RecordResult[];
}

/**
 * Prepares transitions, on the assumption that no lease was lost, no row moved
 * and no trace changed since the runs last saw them. That saves reading the rows
 * first, and is no work for the time in which the file is held.
 */
export function prepare(transitions: readonly Transition[]): Prepared {
  const rounds = roundsOf(transitions).map((items) =>
    batchesOf(items, ({ traceText }) => traceText)
  );
  return { rounds, results: resultsOf(transitions, rounds.flat()) };
}

/**
 * Applies prepared transitions in the transaction that is open on the
 * connection.
 *
 * @throws {RowsChangedError} where the assumption is wrong: roll back, and use
 * {@linkcode applyToChangedRows}.
 */
export async function applyPrepared(
  connection: Connection,
  { rounds, results }: Prepared,
  now: Date,
): Promise<readonly RecordResult[]> {
  for (const batches of rounds) await write(connection, batches, now);
  return results;
}

/** Prepares and applies. */
export function applyTransitions(
  connection: Connection,
  transitions: readonly Transition[],
  now: Date,
): Promise<readonly RecordResult[]> {
  return applyPrepared(connection, prepare(transitions), now);
}

/**
 * Applies transitions after a look at the rows: merges into the traces that are
 * there now, and leaves out the runs that lost their lease.
 */
export async function applyToChangedRows(
  connection: Connection,
  transitions: readonly Transition[],
  now: Date,
): Promise<RecordResult[]> {
  const applied: Batch[] = [];
  for (const items of roundsOf(transitions)) {
    const ids = items.map(({ transition }) => transition.lease.taskId);
    const rows = await readHeld(connection, ids);
    const held = items.flatMap(({ position, transition }): Item[] => {
      const row = rows.get(transition.lease.taskId);
      const isHeld = row?.task.state === transition.from &&
        row.lease.id === transition.lease.id;
      if (!isHeld) return [];
      const { task: { traceText }, lease: { place } } = row;
      const lease = { ...transition.lease, place, opening: undefined };
      return [{ position, transition: { ...transition, traceText, lease } }];
    });
    const batches = batchesOf(held, ({ traceText }) => traceText);
    await write(connection, batches, now);
    applied.push(...batches);
  }
  return resultsOf(transitions, applied);
}

function resultsOf(
  transitions: readonly Transition[],
  applied: readonly Batch[],
): RecordResult[] {
  const results = transitions.map(({ traceText }): RecordResult => ({
    applied: false,
    traceText,
  }));
  for (const { items, write: { trace } } of applied) {
    const result = { applied: true, traceText: trace };
    for (const { position } of items) results[position] = result;
  }
  return results;
}

/** Null finds no row. */
function placeOf({ place }: Lease | NoLease): bigint | null {
  return place === undefined ? null : BigInt(place);
}

/** Returns the number from which on outcomes are of this set. */
async function stage(
  connection: Connection,
  batches: readonly Batch[],
): Promise<number> {
  const stage = Stage.of(connection);
  const spansOf = ({ items, spans, write }: Batch): readonly Span[] =>
    // Another program may have changed the order of the rows since.
    write.transition.lease.opening === stage.opening
      ? spans
      : items.map(({ transition: { lease } }) => ({
        first: lease,
        last: lease,
      }));
  const parts = batches.map(spansOf);
  const spans = parts.flat();
  await stage.reserve("incoming", spans.length);
  const first = await stage.reserve("outcomes", batches.length);
  const numbers = batches.map((_, index) => BigInt(first + index));
  await connection.append("incoming", [
    {
      type: "bigint",
      values: parts.flatMap((spans, index) =>
        spans.map(() => numbers[index] ?? null)
      ),
    },
    { type: "bigint", values: spans.map(({ first }) => placeOf(first)) },
    { type: "text", values: spans.map(({ first }) => first.taskId) },
    { type: "bigint", values: spans.map(({ last }) => placeOf(last)) },
    { type: "text", values: spans.map(({ last }) => last.taskId) },
  ]);
  const writes = batches.map(({ write }) => write);
  const transitions = writes.map(({ transition }) => transition);
  await connection.append("outcomes", [
    { type: "bigint", values: numbers },
    { type: "text", values: transitions.map(({ lease }) => lease.id) },
    { type: "text", values: transitions.map(({ lease }) => lease.owner) },
    { type: "integer", values: transitions.map(({ lease }) => lease.attempt) },
    { type: "text", values: transitions.map(({ from }) => from) },
    { type: "text", values: transitions.map(({ to }) => to) },
    { type: "text", values: writes.map(({ seen }) => seen) },
    { type: "text", values: writes.map(({ trace }) => trace) },
    {
      type: "boolean",
      values: transitions.map(({ keepsLease }) => keepsLease),
    },
    {
      type: "integer",
      values: transitions.map(({ returnsAttempt }) => returnsAttempt ? 1 : 0),
    },
    {
      type: "bigint",
      values: transitions.map(({ runAt }) => runAt && BigInt(runAt.getTime())),
    },
    { type: "text", values: transitions.map(({ event }) => event) },
    { type: "text", values: transitions.map(({ detail }) => detail) },
  ]);
  return first;
}

/**
 * What is set only where one of them changes it: each column that is written
 * takes a hundredth of the time of a drain.
 */
function rareChanges(batches: readonly Batch[]): string {
  const transitions = batches.map(({ write }) => write.transition);
  const changes: string[] = [];
  if (transitions.some(({ returnsAttempt }) => returnsAttempt)) {
    changes.push("attempt = t.attempt - o.returned,");
  }
  // With a lease, it is null from the claim on.
  if (transitions.some(({ runAt, lease }) => runAt || lease.id === null)) {
    changes.push("run_at = epoch_ms(o.run_at),");
  }
  return changes.join(" ");
}

async function write(
  connection: Connection,
  batches: readonly Batch[],
  now: Date,
): Promise<void> {
  if (batches.length === 0) return;
  const expected = batches.reduce((sum, { items }) => sum + items.length, 0);
  const set = await stage(connection, batches);
  // Before the update: that moves a row whose changed column has an index.
  connection.defer(
    `INSERT INTO agent_task_events
       (task_id, kind, occurred_at, attempt, runner, detail)
     SELECT t.id, o.kind, $2::TIMESTAMPTZ, o.attempt, o.owner, o.detail
     FROM agent_tasks t JOIN (${STAGED}) o ON t.rowid = o.place
     ORDER BY o.position, o.place`,
    [set, now.toISOString()],
  );
  if (batches.some(({ write }) => isFinal(write.transition.to))) {
    await notifyEnded(connection, STAGED, [set, now.toISOString()]);
  }
  const changed = await connection.run(
    `UPDATE agent_tasks t SET
       status = o.state, last_update = o.trace, updated_at = $2::TIMESTAMPTZ,
       ${rareChanges(batches)}
       lease_id = CASE WHEN o.keeps_lease THEN t.lease_id END,
       lease_owner = CASE WHEN o.keeps_lease THEN t.lease_owner END,
       lease_expires_at = CASE WHEN o.keeps_lease THEN t.lease_expires_at END
     FROM (${STAGED}) o WHERE ${FENCE}`,
    [set, now.toISOString()],
  );
  if (changed !== expected) throw new RowsChangedError();
}
