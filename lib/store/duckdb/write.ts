/**
 * Writing what becomes of tasks, in sets: what transitions make of the rows as
 * they are now, and a row of history for each.
 *
 * @module
 */

import { messageOf } from "../../base/errors.ts";
import type {
  Lease,
  NoLease,
  TaskEventKind,
  Transition,
} from "../../task/task.ts";
import { apply, type Held, type TaskRow } from "../../task/transitions.ts";
import type { Connection, SqlValue } from "./connection.ts";
import { writeNotifications } from "./notifications.ts";
import { HELD_ROW, heldOf, type HeldRow } from "./rows.ts";
import { type Column, Values } from "./values.ts";

/** DuckDB refuses one of the rows; which one, it does not say. */
export class RefusedRowsError extends Error {
  override readonly name = "RefusedRowsError";
  readonly ids: readonly string[];

  constructor(ids: readonly string[], cause: unknown) {
    super(messageOf(cause).split("\n")[0], { cause });
    this.ids = ids;
  }
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
): Promise<("written" | "lost")[]> {
  const leases = new Map(transitions.map(({ lease }) => [lease.taskId, lease]));
  const ids = [...leases.keys()];
  let range = rangeOf([...leases.values()]);
  let rows = await readRows(connection, ids, range);
  if (range && rows.length < ids.length) {
    range = undefined;
    rows = await readRows(connection, ids, range);
  }
  const changes = new Changes(rows, at);
  const results = transitions.map((it) => changes.apply(it));
  await changes.write(connection, range);
  return results;
}

/**
 * Where claims found their rows. Only a hint, which DuckDB's checkpoints may make
 * wrong: rows are found by their ids. Without it, each group of outcomes looks
 * through the whole table twice, and a task of a million takes three times as long.
 */
const places = new WeakMap<Lease | NoLease, number>();

/** Remembers where the row of a lease is. */
export function rememberPlace(lease: Lease, rowid: number): void {
  places.set(lease, rowid);
}

/** The part of the table that the rows are in. */
type Range = readonly [first: number, last: number];

function rangeOf(leases: readonly (Lease | NoLease)[]): Range | undefined {
  let [first, last] = [Infinity, -Infinity];
  for (const lease of leases) {
    const place = places.get(lease);
    if (place === undefined) return undefined;
    first = Math.min(first, place);
    last = Math.max(last, place);
  }
  return leases.length === 0 ? undefined : [first, last];
}

function isIn(range: Range | undefined, rowid: string, values: Values): string {
  if (!range) return "true";
  const [first, last] = range;
  return `${rowid} BETWEEN ${values.bind(first)} AND ${values.bind(last)}`;
}

/** What {@linkcode Changes} need of a row. */
export interface StoredRow extends TaskRow {
  readonly id: string;
}

/** Rows that are alike in all that transitions read. */
interface AlikeRows {
  readonly count: number;
  readonly ids: readonly string[] | null;
  readonly state: string;
  readonly leaseId: string | null;
  readonly traceText: string | null;
  readonly attempt: number;
  readonly questions: number;
  readonly runAt: number | null;
}

/**
 * Those of a busy runner are mostly alike: then their ids need not be read, which
 * takes two thirds of the time.
 */
async function readRows(
  connection: Connection,
  ids: readonly string[],
  range: Range | undefined,
): Promise<StoredRow[]> {
  const [first, ...others] = await readAlike(connection, ids, {
    list: "NULL",
    range,
  });
  if (!first) return [];
  const alike = others.length === 0 && first.count === ids.length
    ? [{ ...first, ids }]
    : await readAlike(connection, ids, { list: "list(id)", range });
  return alike.flatMap(({ ids, count: _, runAt: ms, ...row }) => {
    const runAt = ms === null ? null : new Date(ms);
    return (ids ?? []).map((id) => ({ ...row, runAt, id }));
  });
}

async function readAlike(
  connection: Connection,
  ids: readonly string[],
  { list, range }: { readonly list: string; readonly range: Range | undefined },
): Promise<AlikeRows[]> {
  const values = new Values();
  return await connection.json<AlikeRows[]>(
    `SELECT to_json(list(t)) FROM (
       SELECT count(*) AS count, ${list} AS ids, status AS state,
         lease_id AS leaseId, last_update AS traceText,
         coalesce(attempt, 0) AS attempt, coalesce(questions, 0) AS questions,
         epoch_ms(run_at) AS runAt
       FROM agent_tasks WHERE id IN (SELECT ${values.ids(ids)})
         AND ${isIn(range, "rowid", values)}
       GROUP BY ALL) t`,
    values.list,
  ) ?? [];
}

/** The columns that a transition may change, and what a row has there. */
const COLUMNS: Readonly<
  Record<string, readonly [type: string, of: (row: StoredRow) => SqlValue]>
> = {
  status: ["TEXT", (row) => row.state],
  last_update: ["TEXT", (row) => row.traceText],
  attempt: ["INTEGER", (row) => row.attempt],
  questions: ["INTEGER", (row) => row.questions],
  run_at: ["TIMESTAMPTZ", (row) => row.runAt?.toISOString() ?? null],
};

const LEASE = ["lease_id", "lease_owner", "lease_expires_at"];

/** A row of a task's history that is to be written. */
export interface WrittenEvent {
  readonly id: string;
  readonly kind: TaskEventKind;
  readonly attempt: number;
  /** @default {null} */
  readonly runner?: string | null;
  /** @default {null} */
  readonly detail?: string | null;
}

/** Rows as they were read, and what transitions make of them. */
export class Changes<Row extends StoredRow = StoredRow> {
  readonly #before: ReadonlyMap<string, Row>;
  readonly #after = new Map<string, Row>();
  readonly #at: Date;
  readonly #events: WrittenEvent[] = [];

  constructor(rows: readonly Row[], at: Date) {
    this.#before = new Map(rows.map((row) => [row.id, row]));
    this.#at = at;
  }

  /** A row as it is now. */
  get(id: string): Row | undefined {
    return this.#after.get(id) ?? this.#before.get(id);
  }

  apply(transition: Transition): "written" | "lost" {
    const { event: kind, detail, lease: { taskId: id, owner, attempt } } =
      transition;
    const row = this.get(id);
    const next = row && apply(row, transition, this.#at);
    if (!next) return "lost";
    this.#after.set(id, next);
    this.#events.push({ id, kind, attempt, runner: owner || null, detail });
    return "written";
  }

  /**
   * Writes what has changed, in the transaction that is open on the connection.
   *
   * @throws {RefusedRowsError} where a row can't be written.
   */
  async write(connection: Connection, range?: Range): Promise<void> {
    const ids = [...this.#after.keys()];
    if (ids.length === 0) return;
    try {
      await this.#writeRows(connection, ids, range);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      throw new RefusedRowsError(ids, error);
    }
    for (const events of roundsOf(this.#events)) {
      await writeEvents(connection, events, this.#at);
    }
    await writeNotifications(connection, this.#events, this.#at);
  }

  async #writeRows(
    connection: Connection,
    ids: string[],
    range: Range | undefined,
  ): Promise<void> {
    const rows = [...this.#after.values()];
    const values = new Values();
    const at = values.time(this.#at);
    const set: string[] = [`updated_at = ${at}`];
    const columns: Record<string, Column> = {};
    for (const [name, [type, of]] of Object.entries(COLUMNS)) {
      const column = { type, values: rows.map(of) };
      // Each column that is written takes its time, and may have an index.
      const isChanged = ids.some((id, index) => {
        const before = this.#before.get(id);
        return before === undefined || of(before) !== column.values[index];
      });
      if (!isChanged) continue;
      columns[name] = column;
      set.push(`${name} = o.${name}`);
    }
    const keeps = rows.map(({ leaseId }) => leaseId !== null);
    if (!keeps.includes(true)) set.push(...LEASE.map((it) => `${it} = NULL`));
    else if (keeps.includes(false)) {
      columns.keeps = { type: "BOOLEAN", values: keeps };
      set.push(
        ...LEASE.map((it) => `${it} = CASE WHEN o.keeps THEN t.${it} END`),
      );
    }
    await connection.run(
      `UPDATE agent_tasks t SET ${set.join(", ")}
       FROM (SELECT ${values.rows(ids, columns)}) o
       WHERE t.id = o.id AND ${isIn(range, "t.rowid", values)}`,
      values.list,
    );
  }
}

/** In order, so that no round has two events of one task. */
function roundsOf(events: readonly WrittenEvent[]): WrittenEvent[][] {
  const counts = new Map<string, number>();
  const rounds: WrittenEvent[][] = [];
  for (const event of events) {
    const round = counts.get(event.id) ?? 0;
    counts.set(event.id, round + 1);
    (rounds[round] ??= []).push(event);
  }
  return rounds;
}

/** Writes history, in the transaction that is open on the connection. */
export async function writeEvents(
  connection: Connection,
  events: readonly WrittenEvent[],
  at: Date,
): Promise<void> {
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
  });
  await connection.run(
    `INSERT INTO agent_task_events
       (task_id, kind, attempt, runner, detail, occurred_at)
     SELECT *, ${occurredAt} FROM (SELECT ${rows})`,
    values.list,
  );
}

/** A foreign key of another table together with an index, as it may be. */
export function isRefusal(error: unknown): boolean {
  return /^Constraint Error/.test(messageOf(error));
}
