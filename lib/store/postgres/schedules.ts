/**
 * What makes tasks at its times, in a PostgreSQL database.
 *
 * @module
 */

import type { TaskState } from "../../task/task.ts";
import type { NewSchedule, Schedule, Schedules } from "../contract.ts";
import { schedulesOf, type ScheduleStore } from "../sql/schedules.ts";
import type { Connection } from "./connection.ts";
import { createTasks } from "./create.ts";
import type { Database } from "./database.ts";
import { requestStoreOf } from "./requests.ts";

/** The {@linkcode Schedules} of a PostgreSQL database. */
export function postgresSchedules(database: Database): Schedules {
  return schedulesOf({
    read: (work, options) =>
      database.read(
        (connection, at) => work(storeOf(connection, at)),
        options,
      ),
    change: (work) =>
      database.transaction(
        (connection, at) => work(storeOf(connection, at)),
        { wakes: "tasks" },
      ),
    create: (tasks, { before, after }) =>
      createTasks(database, tasks, {
        before: (connection, at) => before(storeOf(connection, at)),
        after: (connection, at) => after(storeOf(connection, at)),
      }),
    announce: () => database.announcements.tellQueue(),
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

type ScheduleRow = Omit<Schedule, "lastTask"> & {
  readonly lastId: string | null;
  readonly lastState: TaskState | null;
};

async function readSchedules(connection: Connection): Promise<Schedule[]> {
  const rows = await connection.rows<ScheduleRow>(
    `SELECT name, definition, source, added_at AS "addedAt",
       paused_at AS "pausedAt", last_slot AS "lastSlot",
       id AS "lastId", status AS "lastState"
     FROM agent_schedules LEFT JOIN agent_tasks ON id = last_task_id
     ORDER BY name`,
  );
  return rows.map(({ lastId: id, lastState: state, ...row }) => ({
    ...row,
    lastTask: id === null || state === null ? null : { id, state },
  }));
}

async function put(
  connection: Connection,
  { name, definition, source, keepsSlots = false }: NewSchedule,
  at: Date,
): Promise<void> {
  await connection.run(
    `INSERT INTO agent_schedules AS s (name, definition, source, added_at)
     VALUES ($1, $2, $3, $4::timestamptz)
     ON CONFLICT (name) DO UPDATE SET definition = excluded.definition,
       source = excluded.source, added_at =
         CASE WHEN $5::boolean THEN s.added_at ELSE excluded.added_at END`,
    [name, definition, source, at, keepsSlots],
  );
}
