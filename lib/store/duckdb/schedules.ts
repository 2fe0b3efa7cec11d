/**
 * What makes tasks at its times, in a DuckDB file.
 *
 * @module
 */

import type { NewSchedule, Schedule, Schedules } from "../contract.ts";
import { schedulesOf, type ScheduleStore } from "../sql/schedules.ts";
import type { Connection } from "./connection.ts";
import { createTasks } from "./create.ts";
import type { Database, TransactionOptions } from "./database.ts";
import { requestStoreOf } from "./requests.ts";
import { dateOf } from "./rows.ts";

/** The {@linkcode Schedules} of a DuckDB file. */
export function duckDbSchedules(database: Database): Schedules {
  const transaction = <T>(
    work: (store: ScheduleStore) => Promise<T>,
    options?: TransactionOptions,
  ) =>
    database.transaction(
      (connection, at) => work(storeOf(connection, at)),
      options,
    );
  return schedulesOf({
    read: transaction,
    change: transaction,
    create: (tasks, { before, after }) =>
      createTasks(database, tasks, {
        before: (connection, at) => before(storeOf(connection, at)),
        after: (connection, at) => after(storeOf(connection, at)),
      }),
    announce: () => database.announce(),
  });
}

function storeOf(connection: Connection, at: Date): ScheduleStore {
  return {
    connection,
    requests: requestStoreOf(connection, at),
    list: () => readSchedules(connection),
    put: (schedule) => put(connection, schedule, at),
  };
}

type ScheduleRow =
  & Pick<Schedule, "name" | "definition" | "source" | "lastTask">
  & {
    readonly addedMs: number;
    readonly pausedMs: number | null;
    readonly lastMs: number | null;
  };

async function readSchedules(connection: Connection): Promise<Schedule[]> {
  const rows = await connection.json<ScheduleRow[]>(
    `SELECT to_json(list({name: name, definition: definition, source: source,
       addedMs: epoch_ms(added_at), pausedMs: epoch_ms(paused_at),
       lastMs: epoch_ms(last_slot),
       lastTask: CASE WHEN id IS NOT NULL
         THEN {id: id, state: status} END} ORDER BY name))
     FROM agent_schedules LEFT JOIN agent_tasks ON id = last_task_id`,
  ) ?? [];
  return rows.map(({ addedMs, pausedMs, lastMs, ...row }) => ({
    ...row,
    addedAt: new Date(addedMs),
    pausedAt: dateOf(pausedMs),
    lastSlot: dateOf(lastMs),
  }));
}

async function put(
  connection: Connection,
  { name, definition, source, keepsSlots = false }: NewSchedule,
  at: Date,
): Promise<void> {
  const values = [name, definition, source, at];
  const changed = await connection.run(
    `UPDATE agent_schedules SET definition = $2, source = $3,
       added_at = CASE WHEN $5 THEN added_at ELSE $4::TIMESTAMPTZ END
     WHERE name = $1`,
    [...values, keepsSlots],
  );
  if (changed > 0) return;
  await connection.run(
    `INSERT INTO agent_schedules (name, definition, source, added_at)
     VALUES ($1, $2, $3, $4::TIMESTAMPTZ)`,
    values,
  );
}
