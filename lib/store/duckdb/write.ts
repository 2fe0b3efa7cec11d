/**
 * Writing what becomes of tasks, in sets: what transitions make of the rows as
 * they are now, a row of history for each, and what that means for those behind.
 *
 * @module
 */

import { messageOf } from "../../base/errors.ts";
import type { Transition } from "../../task/task.ts";
import type { Held, TaskRow } from "../../task/transitions.ts";
import { endedBatches } from "../batches.ts";
import { type Change, Changes, type WrittenEvent } from "../changes.ts";
import { RefusedRowsError } from "../refused.ts";
import { fittingSets } from "../sets.ts";
import { settleBehind, type SettleStore } from "../settle.ts";
import { batchReadsOf } from "./batches.ts";
import type { Connection, SqlValue } from "./connection.ts";
import { settlingBehind } from "./dependencies.ts";
import { explanationOf } from "./explain.ts";
import { writeNotifications } from "./notifications.ts";
import { isIn, type Range, rangeOf } from "./places.ts";
import { HELD_ROW, heldOf, type HeldRow } from "./rows.ts";
import { type Column, Values } from "./values.ts";

/**
 * Runs a statement that changes the rows of these tasks. Returns how many it did.
 *
 * @throws {RefusedRowsError} where one of them can't be written: a foreign key of
 * another table together with an index, as it may be.
 */
export async function changeRows(
  connection: Connection,
  ids: readonly string[],
  { sql, values }: { readonly sql: string; readonly values: Values },
): Promise<number> {
  try {
    return await connection.run(sql, values.list);
  } catch (error) {
    throw refusalOf(error, ids);
  }
}

/**
 * A foreign key together with an index, a text that DuckDB can't read, or more than
 * fits into its memory: others, or fewer, may go.
 */
const REFUSALS =
  /^(Constraint|Invalid Input|Conversion|Out of Range|Out of Memory) Error/;

/** The error itself, or that these rows are refused where that is what it says. */
export function refusalOf(error: unknown, ids: readonly string[]): unknown {
  return !(error instanceof RefusedRowsError) &&
      REFUSALS.test(messageOf(error))
    ? new RefusedRowsError(ids, explanationOf(error), error)
    : error;
}

/** The tasks that there are, by their ids. */
export async function readHeld(
  connection: Connection,
  ids: readonly string[],
): Promise<Map<string, Held>> {
  const rows = await connection.json<HeldRow[]>(
    `SELECT to_json(list(${HELD_ROW})) FROM agent_tasks
     WHERE id IN (SELECT unnest($1::JSON::UUID[]))`,
    [JSON.stringify(ids)],
  ) ?? [];
  return new Map(rows.map((row) => [row.task.id, heldOf(row)]));
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
  try {
    const { changes, results, range } = await applyTo(
      connection,
      transitions,
      at,
    );
    const hasUnblocked = await writeChanges(connection, changes, { at, range });
    return { results, hasUnblocked };
  } catch (error) {
    throw refusalOf(error, idsOf(transitions));
  }
}

/** Reads the rows, and works out what they become. */
async function applyTo(
  connection: Connection,
  transitions: readonly Transition[],
  at: Date,
) {
  const ids = idsOf(transitions);
  let range = rangeOf(transitions);
  let rows = await readRows(connection, ids, range);
  if (range && rows.size < ids.length) {
    range = undefined;
    rows = await readRows(connection, ids, range);
  }
  const changes = new Changes(rows, at);
  const results = transitions.map((it) => changes.apply(it));
  return { changes, results, range };
}

function idsOf(transitions: readonly Transition[]): string[] {
  return [...new Set(transitions.map(({ lease }) => lease.taskId))];
}

/** Rows that are alike in all that transitions read. */
interface AlikeRows extends Omit<TaskRow, "runAt"> {
  readonly count: number;
  readonly ids: readonly string[] | null;
  readonly runAt: number | null;
}

/**
 * The rows by their ids. Those of a busy runner are mostly alike: of the many, the
 * ids are not read, which takes half of the time.
 */
async function readRows(
  connection: Connection,
  ids: readonly string[],
  range: Range | undefined,
): Promise<Map<string, TaskRow>> {
  let alike = await readAlike(connection, ids, range, ids.length / 2);
  const count = alike.reduce((sum, { count }) => sum + count, 0);
  if (count < ids.length) {
    alike = await readAlike(connection, ids, range, Infinity);
  }
  const rows = new Map<string, TaskRow>();
  let most: TaskRow | undefined;
  for (const { ids, count: _, runAt, ...rest } of alike) {
    const row = { ...rest, runAt: runAt === null ? null : new Date(runAt) };
    if (!ids) most = row;
    for (const id of ids ?? []) rows.set(id, row);
  }
  if (most) {
    for (const id of ids) if (!rows.has(id)) rows.set(id, most);
  }
  return rows;
}

/** Names the ids of those rows of which not more than so many are alike. */
async function readAlike(
  connection: Connection,
  ids: readonly string[],
  range: Range | undefined,
  many: number,
): Promise<AlikeRows[]> {
  const values = new Values();
  const isFew = Number.isFinite(many)
    ? `count(*) <= ${values.bind(many)}`
    : "true";
  return await connection.json<AlikeRows[]>(
    `SELECT to_json(list(t)) FROM (
       SELECT count(*) AS count, CASE WHEN ${isFew} THEN list(id) END AS ids,
         status AS state, lease_id AS leaseId, last_update AS traceText,
         coalesce(attempt, 0) AS attempt, coalesce(questions, 0) AS questions,
         epoch_ms(run_at) AS runAt, batch, touches IS NOT NULL AS hasTouches
       FROM agent_tasks WHERE id IN (SELECT ${values.ids(ids)})
         AND ${isIn(range, "rowid", values)}
       GROUP BY ALL) t`,
    values.list,
  ) ?? [];
}

/** The columns that a transition may change, and what a row has there. */
const COLUMNS: Readonly<
  Record<string, readonly [type: string, of: (row: TaskRow) => SqlValue]>
> = {
  status: ["TEXT", (row) => row.state],
  last_update: ["TEXT", (row) => row.traceText],
  attempt: ["INTEGER", (row) => row.attempt],
  questions: ["INTEGER", (row) => row.questions],
  run_at: ["TIMESTAMPTZ", (row) => row.runAt?.toISOString() ?? null],
};

const LEASE = ["lease_id", "lease_owner", "lease_expires_at"];

/** What an UPDATE sets where nobody works on a task any more. */
export const NO_LEASE = LEASE.map((name) => `${name} = NULL`).join(", ");

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

/** Options for {@linkcode writeChanges}. */
interface WriteOptions {
  readonly at: Date;
  readonly range?: Range | undefined;
}

/** Writes rows and their history, but not what follows. */
async function writeAll(
  connection: Connection,
  changes: Changes<TaskRow>,
  { at, range }: WriteOptions,
): Promise<void> {
  const lengthOf = ({ after }: Change<TaskRow>) => after.traceText?.length ?? 0;
  for (const set of fittingSets(changes.rows, lengthOf)) {
    await writeRows(connection, set, { at, range });
  }
  for (const events of changes.events) {
    const lengthOf = ({ detail, printed }: WrittenEvent) =>
      (detail?.length ?? 0) + (printed?.length ?? 0);
    for (const set of fittingSets(events, lengthOf)) {
      await writeEvents(connection, set, at);
    }
    await writeNotifications(connection, events, at);
  }
}

/** What {@linkcode settleBehind} works with. */
export function settleStoreOf(connection: Connection, at: Date): SettleStore {
  return {
    apply: async (transitions) => {
      const { changes, range } = await applyTo(connection, transitions, at);
      await writeAll(connection, changes, { at, range });
      return changes.ended;
    },
    behind: (ids) => settlingBehind(connection, ids),
    free: async (free) => {
      const values = new Values();
      const sql = `UPDATE agent_tasks SET blocked = false,
        updated_at = ${values.time(at)}
      WHERE id IN (SELECT ${values.ids(free)})`;
      await changeRows(connection, free, { sql, values });
    },
    endedBatches: (ended) => endedBatches(batchReadsOf(connection), ended),
    tell: (events) => writeEvents(connection, events, at),
  };
}

async function writeRows(
  connection: Connection,
  changes: readonly Change<TaskRow>[],
  { at, range }: { readonly at: Date; readonly range: Range | undefined },
): Promise<void> {
  const values = new Values();
  const set = [`updated_at = ${values.time(at)}`];
  const columns: Record<string, Column> = {};
  for (const [name, [type, of]] of Object.entries(COLUMNS)) {
    // Each column that is written takes its time, and may have an index.
    if (changes.every(({ before, after }) => of(before) === of(after))) {
      continue;
    }
    columns[name] = { type, values: changes.map(({ after }) => of(after)) };
    set.push(`${name} = o.${name}`);
  }
  const keeps = changes.map(({ after }) => after.leaseId !== null);
  if (!keeps.includes(true)) set.push(NO_LEASE);
  else if (keeps.includes(false)) {
    columns.keeps = { type: "BOOLEAN", values: keeps };
    set.push(
      ...LEASE.map((it) => `${it} = CASE WHEN o.keeps THEN t.${it} END`),
    );
  }
  const ids = changes.map(({ id }) => id);
  const rows = values.rows(ids, columns);
  const sql = `UPDATE agent_tasks t SET ${
    set.join(", ")
  } FROM (SELECT ${rows}) o
     WHERE t.id = o.id AND ${isIn(range, "t.rowid", values)}`;
  await changeRows(connection, ids, { sql, values });
}

/** Writes history, in the transaction that is open on the connection. */
export async function writeEvents(
  connection: Connection,
  events: readonly WrittenEvent[],
  at: Date,
): Promise<void> {
  if (events.length === 0) return;
  const values = new Values();
  const occurredAt = values.time(at);
  const column = (type: string, name: keyof WrittenEvent): Column => ({
    type,
    values: events.map((event) => event[name] ?? null),
  });
  const rows = values.rows(events.map(({ id }) => id), {
    kind: column("TEXT", "kind"),
    attempt: column("INTEGER", "attempt"),
    runner: column("TEXT", "runner"),
    detail: column("TEXT", "detail"),
    printed: column("TEXT", "printed"),
    usage: column("TEXT", "usage"),
  });
  await connection.run(
    `INSERT INTO agent_task_events
       (task_id, kind, attempt, runner, detail, printed, usage, occurred_at)
     SELECT *, ${occurredAt} FROM (SELECT ${rows})`,
    values.list,
  );
}
