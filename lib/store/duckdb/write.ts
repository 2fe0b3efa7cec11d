/**
 * Writing what becomes of tasks, in sets: what transitions make of the rows as
 * they are now, and a row of history for each.
 *
 * @module
 */

import { messageOf } from "../../base/errors.ts";
import type { TaskEventKind, Transition } from "../../task/task.ts";
import { apply, type Held, type TaskRow } from "../../task/transitions.ts";
import type { Connection, SqlValue } from "./connection.ts";
import { explanationOf } from "./explain.ts";
import { writeNotifications } from "./notifications.ts";
import { isIn, type Range, rangeOf } from "./places.ts";
import { HELD_ROW, heldOf, type HeldRow } from "./rows.ts";
import { type Column, Values } from "./values.ts";

/** DuckDB refuses one of the rows; which one, it does not say. */
export class RefusedRowsError extends Error {
  override readonly name = "RefusedRowsError";
  readonly ids: readonly string[];

  constructor(ids: readonly string[], cause: unknown) {
    super(explanationOf(cause), { cause });
    this.ids = ids;
  }
}

/**
 * Runs a statement that changes the rows of these tasks.
 *
 * @throws {RefusedRowsError} where one of them can't be written: a foreign key of
 * another table together with an index, as it may be.
 */
export async function changeRows(
  connection: Connection,
  ids: readonly string[],
  { sql, values }: { readonly sql: string; readonly values: Values },
): Promise<void> {
  try {
    await connection.run(sql, values.list);
  } catch (error) {
    if (!/^Constraint Error/.test(messageOf(error))) throw error;
    throw new RefusedRowsError(ids, error);
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
  const ids = [...new Set(transitions.map(({ lease }) => lease.taskId))];
  let range = rangeOf(transitions);
  let rows = await readRows(connection, ids, range);
  if (range && rows.size < ids.length) {
    range = undefined;
    rows = await readRows(connection, ids, range);
  }
  const changes = new Changes(rows, at);
  const results = transitions.map((it) => changes.apply(it));
  await changes.write(connection, range);
  return results;
}

/** Rows that are alike in all that transitions read. */
interface AlikeRows extends Omit<TaskRow, "runAt"> {
  readonly count: number;
  readonly ids: readonly string[] | null;
  readonly runAt: number | null;
}

/**
 * The rows by their ids. Those of a busy runner are mostly alike: then their ids
 * need not be read, which takes half of the time.
 */
async function readRows(
  connection: Connection,
  ids: readonly string[],
  range: Range | undefined,
): Promise<Map<string, TaskRow>> {
  const rows = new Map<string, TaskRow>();
  const [first, ...others] = await readAlike(connection, ids, {
    list: "NULL",
    range,
  });
  if (!first) return rows;
  const alike = others.length === 0 && first.count === ids.length
    ? [{ ...first, ids }]
    : await readAlike(connection, ids, { list: "list(id)", range });
  for (const { ids, count: _, runAt, ...rest } of alike) {
    const row = { ...rest, runAt: runAt === null ? null : new Date(runAt) };
    for (const id of ids ?? []) rows.set(id, row);
  }
  return rows;
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
  Record<string, readonly [type: string, of: (row: TaskRow) => SqlValue]>
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

interface Change<Row> {
  readonly id: string;
  readonly before: Row;
  after: Row;
  /** How many events it has. */
  events: number;
}

/** Rows as they were read, and what transitions make of them. */
export class Changes<Row extends TaskRow> {
  readonly #rows: ReadonlyMap<string, Row>;
  readonly #changes = new Map<string, Change<Row>>();
  readonly #at: Date;
  /** In order, so that no round has two events of one task. */
  readonly #rounds: WrittenEvent[][] = [];

  constructor(rows: ReadonlyMap<string, Row>, at: Date) {
    this.#rows = rows;
    this.#at = at;
  }

  /** A row as it is now. */
  get(id: string): Row | undefined {
    return this.#changes.get(id)?.after ?? this.#rows.get(id);
  }

  apply(transition: Transition): "written" | "lost" {
    const { event: kind, detail, lease: { taskId: id, owner, attempt } } =
      transition;
    const change = this.#changes.get(id);
    const before = change?.after ?? this.#rows.get(id);
    const after = before && apply(before, transition, this.#at);
    if (!after) return "lost";
    const round = change?.events ?? 0;
    (this.#rounds[round] ??= [])
      .push({ id, kind, attempt, runner: owner || null, detail });
    if (change) {
      change.after = after;
      change.events++;
    } else this.#changes.set(id, { id, before, after, events: 1 });
    return "written";
  }

  /**
   * Writes what has changed, in the transaction that is open on the connection.
   *
   * @throws {RefusedRowsError} where a row can't be written.
   */
  async write(connection: Connection, range?: Range): Promise<void> {
    if (this.#changes.size === 0) return;
    const changes = [...this.#changes.values()];
    await this.#writeRows(connection, changes, range);
    for (const events of this.#rounds) {
      await writeEvents(connection, events, this.#at);
    }
    await writeNotifications(connection, this.#rounds.flat(), this.#at);
  }

  async #writeRows(
    connection: Connection,
    changes: readonly Change<Row>[],
    range: Range | undefined,
  ): Promise<void> {
    const values = new Values();
    const set = [`updated_at = ${values.time(this.#at)}`];
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
    if (!keeps.includes(true)) set.push(...LEASE.map((it) => `${it} = NULL`));
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
