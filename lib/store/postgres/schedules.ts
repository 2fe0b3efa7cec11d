/**
 * What makes tasks at its times, and how far that is.
 *
 * @module
 */

import { DuplicateIdError } from "../../base/errors.ts";
import type { TaskState } from "../../task/task.ts";
import {
  type NewSchedule,
  newTasks,
  type Schedule,
  type ScheduleList,
  type Schedules,
  type TakenSlot,
} from "../contract.ts";
import type { Connection } from "./connection.ts";
import { createTasks } from "./create.ts";
import type { Database } from "./database.ts";
import { cancelTasks } from "../requests.ts";
import { requestStoreOf } from "./requests.ts";
import { readHeld, writeEvents } from "./write.ts";

/** Somebody has taken it, or it may not be taken any more. */
class LostSlotError extends Error {}

/** The {@linkcode Schedules} of a PostgreSQL database. What they change wakes the queue's listeners. */
export class PostgresSchedules implements Schedules {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  list(
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<ScheduleList> {
    return this.#database.read(async (connection, at) => (
      { schedules: await readSchedules(connection), at }
    ), options);
  }

  async put(schedule: NewSchedule): Promise<void> {
    const { name, definition, source, keepsSlots = false } = schedule;
    await this.#change((connection, at) =>
      connection.run(
        `INSERT INTO agent_schedules AS s (name, definition, source, added_at)
         VALUES ($1, $2, $3, $4::timestamptz)
         ON CONFLICT (name) DO UPDATE SET definition = excluded.definition,
           source = excluded.source, added_at =
             CASE WHEN $5::boolean THEN s.added_at ELSE excluded.added_at END`,
        [name, definition, source, at, keepsSlots],
      )
    );
  }

  async remove(name: string): Promise<boolean> {
    const count = await this.#change((connection) =>
      connection.run("DELETE FROM agent_schedules WHERE name = $1", [name])
    );
    return count > 0;
  }

  async pause(name: string): Promise<boolean> {
    const count = await this.#change((connection, at) =>
      connection.run(
        `UPDATE agent_schedules
         SET paused_at = coalesce(paused_at, $2::timestamptz)
         WHERE name = $1`,
        [name, at],
      )
    );
    return count > 0;
  }

  async resume(name: string): Promise<boolean> {
    const count = await this.#change((connection, at) =>
      connection.run(
        `UPDATE agent_schedules SET paused_at = NULL,
           added_at = CASE WHEN paused_at IS NULL THEN added_at
             ELSE $2::timestamptz END
         WHERE name = $1`,
        [name, at],
      )
    );
    return count > 0;
  }

  async take(taken: TakenSlot): Promise<string | null | "lost"> {
    try {
      return await this.#take(taken);
    } catch (error) {
      if (error instanceof LostSlotError) return "lost";
      throw error;
    }
  }

  async #take(taken: TakenSlot): Promise<string | null> {
    const { task } = taken;
    const noting = (connection: Connection, at: Date) =>
      note(connection, taken, at);
    if (!task) {
      await this.#change(noting);
      return null;
    }
    try {
      const ids = await createTasks(this.#database, newTasks([task]), {
        before: noting,
        after: async (connection, at) => {
          const { cancels } = taken;
          if (cancels !== undefined) {
            await cancelTasks(requestStoreOf(connection, at), [cancels]);
          }
        },
      });
      this.#database.announcements.tellQueue();
      const [id = task.id] = [...ids.sets()].flat();
      if (id !== task.id) await this.#change(naming(taken.name, task.id, id));
      return id;
    } catch (error) {
      if (!(error instanceof DuplicateIdError)) throw error;
      await this.#change(noting);
      return task.id;
    }
  }

  async #change<T>(
    work: (connection: Connection, at: Date) => Promise<T>,
  ): Promise<T> {
    const result = await this.#database.transaction(work, { wakes: "tasks" });
    this.#database.announcements.tellQueue();
    return result;
  }
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

/** @throws {LostSlotError} where it is not to be taken. */
async function note(
  connection: Connection,
  { name, slot, lastSlot, task, skipped }: TakenSlot,
  at: Date,
): Promise<void> {
  // Who is here at the same time waits for the row, and finds another slot in it.
  const changed = await connection.run(
    `UPDATE agent_schedules SET last_slot = $2::timestamptz,
       last_task_id = coalesce($4::uuid, last_task_id)
     WHERE name = $1 AND paused_at IS NULL
       AND last_slot IS NOT DISTINCT FROM $3::timestamptz
       AND (last_slot IS NULL OR last_slot < $2::timestamptz)`,
    [name, slot, lastSlot, task?.id ?? null],
  );
  if (changed === 0) throw new LostSlotError();
  if (!skipped) return;
  const { taskId, detail } = skipped;
  const held = (await readHeld(connection, [taskId])).get(taskId);
  if (!held) return;
  const { attempt } = held.task;
  await writeEvents(
    connection,
    [{ id: taskId, kind: "slot_skipped", attempt, detail }],
    at,
  );
}

/** Another task has the key of the one that was to be made last. */
function naming(name: string, task: string, id: string) {
  return (connection: Connection) =>
    connection.run(
      `UPDATE agent_schedules SET last_task_id = $3::uuid
       WHERE name = $1 AND last_task_id = $2::uuid`,
      [name, task, id],
    );
}
