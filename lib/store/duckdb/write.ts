/**
 * Writing what becomes of tasks, in sets: what transitions make of the rows as
 * they are now, and a row of history for each.
 *
 * @module
 */

import { messageOf } from "../../base/errors.ts";
import type { Transition } from "../../task/task.ts";
import { apply, type Held, type TaskRow } from "../../task/transitions.ts";
import type { Connection, SqlValue } from "./connection.ts";
import { writeNotifications } from "./notifications.ts";
import { HELD_ROW, heldOf, type HeldRow } from "./rows.ts";
import { Values } from "./values.ts";

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
  const ids = new Set(transitions.map(({ lease }) => lease.taskId));
  const changes = new Changes(await readRows(connection, [...ids]), at);
  const results = transitions.map((it) => changes.apply(it));
  await changes.write(connection);
  return results;
}

/** What {@linkcode Changes} need of a row. */
export interface StoredRow extends TaskRow {
  readonly id: string;
}

/** A list for each column: reading them so takes half the time of rows. */
interface Columns {
  readonly id: readonly string[];
  readonly state: readonly string[];
  readonly lease: readonly (string | null)[];
  readonly trace: readonly (string | null)[];
  readonly attempt: readonly number[];
  readonly questions: readonly number[];
  readonly runAt: readonly (number | null)[];
}

async function readRows(
  connection: Connection,
  ids: readonly string[],
): Promise<StoredRow[]> {
  const columns = await connection.json<Columns>(
    `SELECT to_json({id: list(id), state: list(status), lease: list(lease_id),
       trace: list(last_update), attempt: list(coalesce(attempt, 0)),
       questions: list(coalesce(questions, 0)), runAt: list(epoch_ms(run_at))})
     FROM agent_tasks WHERE id IN (SELECT unnest($1::JSON::UUID[]))
     HAVING count(*) > 0`,
    [JSON.stringify(ids)],
  );
  return (columns?.id ?? []).map((id, index) => {
    const at = <T>(values: readonly T[] = []) => values[index] as T;
    const runAt = at(columns?.runAt);
    return {
      id,
      state: at(columns?.state),
      leaseId: at(columns?.lease),
      traceText: at(columns?.trace),
      attempt: at(columns?.attempt),
      questions: at(columns?.questions),
      runAt: runAt === null ? null : new Date(runAt),
    };
  });
}

/** The columns that a transition may change. */
const CHANGED = {
  status: "TEXT",
  last_update: "TEXT",
  attempt: "INTEGER",
  questions: "INTEGER",
  run_at: "TIMESTAMPTZ",
  keeps_lease: "BOOLEAN",
};

type ChangedRow = Readonly<Record<keyof typeof CHANGED, SqlValue>>;

const EVENT = {
  task_id: "UUID",
  kind: "TEXT",
  attempt: "INTEGER",
  runner: "TEXT",
  detail: "TEXT",
};

/** Rows as they were read, and what transitions make of them. */
export class Changes<Row extends StoredRow = StoredRow> {
  readonly #rows: Map<string, Row>;
  readonly #before: ReadonlyMap<string, Row>;
  readonly #at: Date;
  readonly #changed = new Set<string>();
  readonly #events: Record<keyof typeof EVENT, SqlValue>[] = [];

  constructor(rows: readonly Row[], at: Date) {
    this.#rows = new Map(rows.map((row) => [row.id, row]));
    this.#before = new Map(this.#rows);
    this.#at = at;
  }

  /** A row as it is now. */
  get(id: string): Row | undefined {
    return this.#rows.get(id);
  }

  apply(transition: Transition): "written" | "lost" {
    const { taskId, owner, attempt } = transition.lease;
    const row = this.#rows.get(taskId);
    const next = row && apply(row, transition, this.#at);
    if (!next) return "lost";
    this.#rows.set(taskId, next);
    this.#changed.add(taskId);
    const { event: kind, detail } = transition;
    const runner = owner === "" ? null : owner;
    this.#events.push({ task_id: taskId, kind, attempt, runner, detail });
    return "written";
  }

  /**
   * Writes what has changed, in the transaction that is open on the connection.
   *
   * @throws {RefusedRowsError} where a row can't be written.
   */
  async write(connection: Connection): Promise<void> {
    if (this.#changed.size === 0) return;
    try {
      await this.#writeRows(connection);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      throw new RefusedRowsError([...this.#changed], error);
    }
    await this.#writeEvents(connection);
    await writeNotifications(connection, this.#events, this.#at);
  }

  async #writeRows(connection: Connection): Promise<void> {
    const ids = [...this.#changed];
    const rows = ids.map((id) => changedRow(this.#rows.get(id)));
    const before = ids.map((id) => changedRow(this.#before.get(id)));
    const names = (Object.keys(CHANGED) as (keyof typeof CHANGED)[])
      // Each column that is written takes its time, and may have an index.
      .filter((name) =>
        name === "keeps_lease" ||
        rows.some((row, index) => row[name] !== before[index]?.[name])
      );
    const types = Object.fromEntries(names.map((it) => [it, CHANGED[it]]));
    const values = new Values();
    const set = names.map((name) =>
      name === "keeps_lease"
        ? ["lease_id", "lease_owner", "lease_expires_at"].map((it) =>
          `${it} = CASE WHEN o.keeps_lease THEN t.${it} END`
        ).join(", ")
        : `${name} = o.${name}`
    );
    const source = values.rows(
      { ...types, id: "UUID" },
      rows.map((row, index) => ({ ...row, id: ids[index] ?? null })),
    );
    await connection.run(
      `UPDATE agent_tasks t SET ${set.join(", ")},
         updated_at = ${values.time(this.#at)}
       FROM (${source}) o WHERE t.id = o.id`,
      values.list,
    );
  }

  async #writeEvents(connection: Connection): Promise<void> {
    const values = new Values();
    const at = values.time(this.#at);
    await connection.run(
      `INSERT INTO agent_task_events
         (task_id, kind, attempt, runner, detail, occurred_at)
       SELECT task_id, kind, attempt, runner, detail, ${at}
       FROM (${values.rows(EVENT, this.#events)})`,
      values.list,
    );
  }
}

function changedRow(row: StoredRow | undefined): ChangedRow {
  return {
    status: row?.state ?? null,
    last_update: row?.traceText ?? null,
    attempt: row?.attempt ?? null,
    questions: row?.questions ?? null,
    run_at: row?.runAt?.toISOString() ?? null,
    keeps_lease: row !== undefined && row.leaseId !== null,
  };
}

/** A foreign key of another table together with an index, as it may be. */
export function isRefusal(error: unknown): boolean {
  return /^Constraint Error/.test(messageOf(error));
}
