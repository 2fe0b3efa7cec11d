/**
 * Writing what became of runs, in sets.
 *
 * @module
 */

import type { RecordResult } from "../store.ts";
import type { Transition } from "../task.ts";
import { mergeTrace } from "../trace.ts";
import type { Connection } from "./connection.ts";

const FENCE = `
  t.id = d.task_id AND t.status = 'running' AND t.lease_id = d.lease_id`;

/** Some of the rows are not as the runs last saw them. */
export class RowsChangedError extends Error {
  override readonly name = "RowsChangedError";
}

/**
 * Applies transitions in the transaction that is open on the connection, on the
 * assumption that no lease was lost and no trace changed since the runs last
 * saw them. That saves reading the rows first.
 *
 * @throws {RowsChangedError} where the assumption is wrong: roll back, and use
 * {@linkcode applyToChangedRows}.
 */
export async function applyTransitions(
  connection: Connection,
  transitions: readonly Transition[],
  now: Date,
): Promise<RecordResult[]> {
  const results = new Map<Transition, RecordResult>();
  for (const round of roundsOf(transitions)) {
    const writes = round.map((transition) => toWrite(transition));
    await writeAll(connection, writes, now);
    for (const { transition, trace } of writes) {
      results.set(transition, { applied: true, traceText: trace });
    }
  }
  return transitions.map((transition) =>
    results.get(transition) ?? notApplied(transition)
  );
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
  const results = new Map<Transition, RecordResult>();
  for (const round of roundsOf(transitions)) {
    await stage(connection, round.map((transition) => toWrite(transition)));
    const traces = await readTraces(connection);
    const held = round.filter(({ lease }) => traces.has(lease.taskId));
    const writes = held.map((transition) =>
      toWrite(transition, traces.get(transition.lease.taskId) ?? null)
    );
    await writeAll(connection, writes, now);
    for (const { transition, trace } of writes) {
      results.set(transition, { applied: true, traceText: trace });
    }
  }
  return transitions.map((transition) =>
    results.get(transition) ?? notApplied(transition)
  );
}

function notApplied({ traceText }: Transition): RecordResult {
  return { applied: false, traceText };
}

/** Splits transitions so that none of a round's tasks is in it twice. */
function roundsOf(transitions: readonly Transition[]): Transition[][] {
  const rounds: { seen: Set<string>; items: Transition[] }[] = [];
  for (const transition of transitions) {
    const id = transition.lease.taskId;
    let round = rounds.find(({ seen }) => !seen.has(id));
    if (!round) rounds.push(round = { seen: new Set(), items: [] });
    round.seen.add(id);
    round.items.push(transition);
  }
  return rounds.map(({ items }) => items);
}

interface Write {
  readonly transition: Transition;
  /** The trace that the row must still have. */
  readonly seen: string | null;
  /** The trace that it gets. */
  readonly trace: string | null;
}

function toWrite(transition: Transition, seen = transition.traceText): Write {
  const isEmpty = Object.keys(transition.patch).length === 0;
  const trace = isEmpty ? seen : mergeTrace(seen, transition.patch);
  return { transition, seen, trace };
}

async function stage(
  connection: Connection,
  writes: readonly Write[],
): Promise<void> {
  await connection.run(
    `CREATE OR REPLACE TEMP TABLE incoming (
       task_id UUID, lease_id UUID, state TEXT, seen TEXT, trace TEXT,
       keeps_lease BOOLEAN, returned INTEGER, run_at BIGINT, kind TEXT,
       attempt INTEGER, detail TEXT)`,
  );
  const all = writes.map(({ transition }) => transition);
  await connection.append("incoming", [
    { type: "text", values: all.map(({ lease }) => lease.taskId) },
    { type: "text", values: all.map(({ lease }) => lease.id) },
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
    { type: "integer", values: all.map(({ lease }) => lease.attempt) },
    { type: "text", values: all.map(({ detail }) => detail) },
  ]);
}

/** The traces of the staged tasks whose lease is still held. */
async function readTraces(
  connection: Connection,
): Promise<Map<string, string | null>> {
  const rows = await connection.json<{ id: string; trace: string | null }[]>(
    `SELECT to_json(list({id: t.id, trace: t.last_update}))
     FROM agent_tasks t, incoming d WHERE ${FENCE}`,
  );
  return new Map((rows ?? []).map(({ id, trace }) => [id, trace]));
}

async function writeAll(
  connection: Connection,
  writes: readonly Write[],
  now: Date,
): Promise<void> {
  if (writes.length === 0) return;
  await stage(connection, writes);
  // The events first: they take the runner's name from the row.
  await connection.run(
    `INSERT INTO agent_task_events
       (task_id, kind, occurred_at, attempt, runner, detail)
     SELECT d.task_id, d.kind, $1::TIMESTAMPTZ, d.attempt, t.lease_owner,
            d.detail
     FROM agent_tasks t, incoming d WHERE ${FENCE}`,
    [now.toISOString()],
  );
  const changed = await connection.run(
    `UPDATE agent_tasks t SET
       status = d.state, last_update = d.trace, updated_at = $1::TIMESTAMPTZ,
       attempt = t.attempt - d.returned, run_at = epoch_ms(d.run_at),
       lease_id = CASE WHEN d.keeps_lease THEN t.lease_id END,
       lease_owner = CASE WHEN d.keeps_lease THEN t.lease_owner END,
       lease_expires_at = CASE WHEN d.keeps_lease THEN t.lease_expires_at END
     FROM incoming d
     WHERE ${FENCE} AND t.last_update IS NOT DISTINCT FROM d.seen`,
    [now.toISOString()],
  );
  if (changed !== writes.length) throw new RowsChangedError();
}
