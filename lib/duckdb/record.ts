/**
 * Writing what became of runs, in sets.
 *
 * @module
 */

import type { RecordResult } from "../store.ts";
import { isFinal, type Transition } from "../task.ts";
import { type Batch, batchesOf, roundsOf } from "./batches.ts";
import type { Connection } from "./connection.ts";
import { notifyEnded } from "./notifications.ts";
import { Stage } from "./stage.ts";

/** Holds for the staged tasks, with their outcomes, of the set from $1 on. */
const IS_OF_SET = "d.outcome = o.number AND d.outcome >= $1 AND o.number >= $1";

/** The row is still the run's. */
const FENCE = `
  t.id = d.task_id AND ${IS_OF_SET}
  AND t.status = o.from_state AND t.lease_id IS NOT DISTINCT FROM o.lease_id`;

/** Some of the rows are not as the runs last saw them. */
export class RowsChangedError extends Error {
  override readonly name = "RowsChangedError";
}

/** Transitions that are ready to be applied. */
export interface Prepared {
  readonly transitions: readonly Transition[];
  readonly rounds: readonly Round[];
}

interface Round {
  readonly batches: readonly Batch[];
  /** The rows' places are known: DuckDB scans only what lies around them. */
  readonly hasPlaces: boolean;
}

/**
 * Prepares transitions, on the assumption that no lease was lost and no trace
 * changed since the runs last saw them. That saves reading the rows first, and
 * is no work for the time in which the file is held.
 */
export function prepare(transitions: readonly Transition[]): Prepared {
  const rounds = roundsOf(transitions).map((items) => ({
    batches: batchesOf(items, ({ traceText }) => traceText),
    hasPlaces: items.every(({ transition: { lease } }) =>
      lease.place !== undefined
    ),
  }));
  return { transitions, rounds };
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
  { transitions, rounds }: Prepared,
  now: Date,
): Promise<RecordResult[]> {
  for (const round of rounds) await write(connection, round, now);
  return resultsOf(transitions, rounds.flatMap(({ batches }) => batches));
}

/** Prepares and applies. */
export function applyTransitions(
  connection: Connection,
  transitions: readonly Transition[],
  now: Date,
): Promise<RecordResult[]> {
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
    const set = await stage(
      connection,
      batchesOf(items, ({ traceText }) => traceText),
    );
    const traces = await readTraces(connection, set);
    const held = items.filter(({ transition: { lease } }) =>
      traces.has(lease.taskId)
    );
    const batches = batchesOf(
      held,
      ({ lease }) => traces.get(lease.taskId) ?? null,
    );
    await write(connection, { batches, hasPlaces: false }, now);
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

/** Returns the number from which on outcomes are of this set. */
async function stage(
  connection: Connection,
  batches: readonly Batch[],
): Promise<number> {
  const stage = Stage.of(connection);
  const taskCount = batches.reduce((sum, { items }) => sum + items.length, 0);
  await stage.reserve("incoming", taskCount);
  const first = await stage.reserve("outcomes", batches.length);
  await connection.append("incoming", [
    {
      type: "text",
      values: batches.flatMap(({ items }) =>
        items.map(({ transition }) => transition.lease.taskId)
      ),
    },
    {
      type: "bigint",
      values: batches.flatMap(({ items }) =>
        items.map(({ transition: { lease: { place } } }) =>
          place === undefined ? null : BigInt(place)
        )
      ),
    },
    {
      type: "bigint",
      values: batches.flatMap(({ items }, index) => {
        const number = BigInt(first + index);
        return items.map(() => number);
      }),
    },
  ]);
  const writes = batches.map(({ write }) => write);
  const all = writes.map(({ transition }) => transition);
  await connection.append("outcomes", [
    { type: "bigint", values: all.map((_, index) => BigInt(first + index)) },
    { type: "text", values: all.map(({ lease }) => lease.id) },
    { type: "text", values: all.map(({ lease }) => lease.owner) },
    { type: "integer", values: all.map(({ lease }) => lease.attempt) },
    { type: "text", values: all.map(({ from }) => from) },
    { type: "text", values: all.map(({ to }) => to) },
    { type: "text", values: writes.map(({ seen }) => seen) },
    { type: "text", values: writes.map(({ trace }) => trace) },
    { type: "boolean", values: all.map(({ keepsLease }) => keepsLease) },
    {
      type: "integer",
      values: all.map(({ returnsAttempt }) => returnsAttempt ? 1 : 0),
    },
    {
      type: "bigint",
      values: all.map(({ runAt }) => runAt && BigInt(runAt.getTime())),
    },
    { type: "text", values: all.map(({ event }) => event) },
    { type: "text", values: all.map(({ detail }) => detail) },
  ]);
  return first;
}

/** The traces of the staged tasks whose lease is still held. */
async function readTraces(
  connection: Connection,
  set: number,
): Promise<Map<string, string | null>> {
  const rows = await connection.json<{ id: string; trace: string | null }[]>(
    `SELECT to_json(list({id: t.id, trace: t.last_update}))
     FROM agent_tasks t, incoming d, outcomes o WHERE ${FENCE}`,
    [set],
  );
  return new Map((rows ?? []).map(({ id, trace }) => [id, trace]));
}

async function write(
  connection: Connection,
  { batches, hasPlaces }: Round,
  now: Date,
): Promise<void> {
  if (batches.length === 0) return;
  const set = await stage(connection, batches);
  const changed = await connection.run(
    `UPDATE agent_tasks t SET
       status = o.state, last_update = o.trace, updated_at = $2::TIMESTAMPTZ,
       attempt = t.attempt - o.returned, run_at = epoch_ms(o.run_at),
       lease_id = CASE WHEN o.keeps_lease THEN t.lease_id END,
       lease_owner = CASE WHEN o.keeps_lease THEN t.lease_owner END,
       lease_expires_at = CASE WHEN o.keeps_lease THEN t.lease_expires_at END
     FROM incoming d, outcomes o
     WHERE ${FENCE} ${hasPlaces ? "AND t.rowid = d.place" : ""}
       AND t.last_update IS NOT DISTINCT FROM o.seen`,
    [set, now.toISOString()],
  );
  const expected = batches.reduce((sum, it) => sum + it.items.length, 0);
  if (changed !== expected) throw new RowsChangedError();
  await connection.run(
    `INSERT INTO agent_task_events
       (task_id, kind, occurred_at, attempt, runner, detail)
     SELECT d.task_id, o.kind, $2::TIMESTAMPTZ, o.attempt, o.owner, o.detail
     FROM incoming d JOIN outcomes o ON ${IS_OF_SET} ORDER BY d.rowid`,
    [set, now.toISOString()],
  );
  if (batches.some(({ write }) => isFinal(write.transition.to))) {
    await notifyEnded(connection, IS_OF_SET, [set]);
  }
}
