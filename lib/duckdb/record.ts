/**
 * Writing what became of runs, in sets.
 *
 * @module
 */

import type { RecordResult } from "../store.ts";
import { isFinal, type JsonObject, type Transition } from "../task.ts";
import { mergeTrace, stringifyJson } from "../trace.ts";
import type { Connection } from "./connection.ts";
import { notifyEnded } from "./notifications.ts";

/** The row is still the run's. */
const FENCE = `
  t.id = d.task_id AND d.outcome = o.position
  AND t.status = o.from_state AND t.lease_id IS NOT DISTINCT FROM o.lease_id`;

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
export function applyTransitions(
  connection: Connection,
  transitions: readonly Transition[],
  now: Date,
): Promise<RecordResult[]> {
  return applyRounds(transitions, async (round) => {
    const batches = batchesOf(round, ({ traceText }) => traceText);
    await write(connection, batches, { now, hasPlaces: havePlaces(round) });
    return batches;
  });
}

function havePlaces(round: readonly Item[]): boolean {
  return round.every(({ transition: { lease } }) => lease.place !== undefined);
}

/**
 * Applies transitions after a look at the rows: merges into the traces that are
 * there now, and leaves out the runs that lost their lease.
 */
export function applyToChangedRows(
  connection: Connection,
  transitions: readonly Transition[],
  now: Date,
): Promise<RecordResult[]> {
  return applyRounds(transitions, async (round) => {
    await stage(connection, batchesOf(round, ({ traceText }) => traceText));
    const traces = await readTraces(connection);
    const held = round.filter(({ transition: { lease } }) =>
      traces.has(lease.taskId)
    );
    const batches = batchesOf(
      held,
      ({ lease }) => traces.get(lease.taskId) ?? null,
    );
    await write(connection, batches, { now, hasPlaces: false });
    return batches;
  });
}

/** A transition, and its place among those that were given. */
interface Item {
  readonly position: number;
  readonly transition: Transition;
}

async function applyRounds(
  transitions: readonly Transition[],
  apply: (round: readonly Item[]) => Promise<readonly Batch[]>,
): Promise<RecordResult[]> {
  const results = transitions.map(({ traceText }): RecordResult => ({
    applied: false,
    traceText,
  }));
  for (const round of roundsOf(transitions)) {
    for (const { items, write: { trace } } of await apply(round)) {
      const result = { applied: true, traceText: trace };
      for (const { position } of items) results[position] = result;
    }
  }
  return results;
}

/** Splits transitions so that none of a round's tasks is in it twice. */
function roundsOf(transitions: readonly Transition[]): Item[][] {
  const roundOf = new Map<string | number, number>();
  const rounds: Item[][] = [];
  for (const [position, transition] of transitions.entries()) {
    // A number is looked up in half the time of a text.
    const { taskId, place = taskId } = transition.lease;
    const round = (roundOf.get(place) ?? -1) + 1;
    roundOf.set(place, round);
    (rounds[round] ??= []).push({ position, transition });
  }
  return rounds;
}

interface Write {
  readonly transition: Transition;
  /** The trace that the row must still have. */
  readonly seen: string | null;
  /** The trace that it gets. */
  readonly trace: string | null;
}

/** Transitions whose tasks differ in nothing but their ids. */
interface Batch {
  readonly items: Item[];
  readonly write: Write;
}

/**
 * A busy runner's outcomes are mostly alike: the same trace, the same
 * millisecond. Merging, sending and reading each text once for all of them
 * takes two thirds off the cost of a task.
 */
function batchesOf(
  items: readonly Item[],
  seenOf: (transition: Transition) => string | null,
): Batch[] {
  const batches = new Map<string, Batch>();
  let last: Batch | undefined;
  for (const item of items) {
    const { transition } = item;
    const seen = seenOf(transition);
    if (!last || !isAlike(last.write, transition, seen)) {
      const key = keyOf(transition, seen);
      last = batches.get(key) ?? newBatch(transition, seen);
      batches.set(key, last);
    }
    last.items.push(item);
  }
  return [...batches.values()];
}

function newBatch(transition: Transition, seen: string | null): Batch {
  const { patch } = transition;
  const isEmpty = Object.keys(patch).length === 0;
  const trace = isEmpty ? seen : mergeTrace(seen, patch);
  return { items: [], write: { transition, seen, trace } };
}

function keyOf(
  { lease, from, event, detail, runAt, patch }: Transition,
  seen: string | null,
): string {
  return `${lease.id} ${lease.attempt} ${from} ${event} ${runAt?.getTime()} ` +
    `${stringifyJson([detail, patch])} ${seen === null ? "" : `=${seen}`}`;
}

/** The same as equal keys, without making them. False where it is not sure. */
function isAlike(
  { transition, seen }: Write,
  other: Transition,
  otherSeen: string | null,
): boolean {
  return seen === otherSeen &&
    transition.lease.id === other.lease.id &&
    transition.lease.attempt === other.lease.attempt &&
    transition.from === other.from && transition.event === other.event &&
    transition.detail === other.detail && transition.runAt === other.runAt &&
    haveSameValues(transition.patch, other.patch);
}

function haveSameValues(one: JsonObject, other: JsonObject): boolean {
  const keys = Object.keys(one);
  return keys.length === Object.keys(other).length &&
    keys.every((key) => one[key] === other[key]);
}

async function stage(
  connection: Connection,
  batches: readonly Batch[],
): Promise<void> {
  await connection.run(
    `CREATE OR REPLACE TEMP TABLE incoming (
       task_id UUID, place BIGINT, outcome INTEGER);
     CREATE OR REPLACE TEMP TABLE outcomes (
       position INTEGER, lease_id UUID, owner TEXT, attempt INTEGER,
       from_state TEXT, state TEXT,
       seen TEXT, trace TEXT, keeps_lease BOOLEAN, returned INTEGER,
       run_at BIGINT, kind TEXT, detail TEXT)`,
  );
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
      type: "integer",
      values: batches.flatMap(({ items }, index) => items.map(() => index)),
    },
  ]);
  const writes = batches.map(({ write }) => write);
  const all = writes.map(({ transition }) => transition);
  await connection.append("outcomes", [
    { type: "integer", values: all.map((_, index) => index) },
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
}

/** The traces of the staged tasks whose lease is still held. */
async function readTraces(
  connection: Connection,
): Promise<Map<string, string | null>> {
  const rows = await connection.json<{ id: string; trace: string | null }[]>(
    `SELECT to_json(list({id: t.id, trace: t.last_update}))
     FROM agent_tasks t, incoming d, outcomes o WHERE ${FENCE}`,
  );
  return new Map((rows ?? []).map(({ id, trace }) => [id, trace]));
}

async function write(
  connection: Connection,
  batches: readonly Batch[],
  { now, hasPlaces }: {
    readonly now: Date;
    /** The rows' places are known: DuckDB scans only what lies around them. */
    readonly hasPlaces: boolean;
  },
): Promise<void> {
  if (batches.length === 0) return;
  await stage(connection, batches);
  const changed = await connection.run(
    `UPDATE agent_tasks t SET
       status = o.state, last_update = o.trace, updated_at = $1::TIMESTAMPTZ,
       attempt = t.attempt - o.returned, run_at = epoch_ms(o.run_at),
       lease_id = CASE WHEN o.keeps_lease THEN t.lease_id END,
       lease_owner = CASE WHEN o.keeps_lease THEN t.lease_owner END,
       lease_expires_at = CASE WHEN o.keeps_lease THEN t.lease_expires_at END
     FROM incoming d, outcomes o
     WHERE ${FENCE} ${hasPlaces ? "AND t.rowid = d.place" : ""}
       AND t.last_update IS NOT DISTINCT FROM o.seen`,
    [now.toISOString()],
  );
  const expected = batches.reduce((sum, it) => sum + it.items.length, 0);
  if (changed !== expected) throw new RowsChangedError();
  await connection.run(
    `INSERT INTO agent_task_events
       (task_id, kind, occurred_at, attempt, runner, detail)
     SELECT d.task_id, o.kind, $1::TIMESTAMPTZ, o.attempt, o.owner, o.detail
     FROM incoming d JOIN outcomes o ON d.outcome = o.position`,
    [now.toISOString()],
  );
  if (batches.some(({ write }) => isFinal(write.transition.to))) {
    await notifyEnded(connection);
  }
}
