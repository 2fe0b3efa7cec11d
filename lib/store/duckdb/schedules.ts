/**
 * What makes tasks at its times, and how far that is.
 *
 * @module
 */

import { DuplicateIdError } from "../../base/errors.ts";
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

/** The {@linkcode Schedules} of a DuckDB file. What they change wakes the queue's listeners. */
export class DuckDbSchedules implements Schedules {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  list(
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<ScheduleList> {
    return this.#database.transaction(async (connection) => {
      const at = this.#database.now();
      return { schedules: await readSchedules(connection), at };
    }, options);
  }

  async put(schedule: NewSchedule): Promise<void> {
    await this.#change((connection, at) => put(connection, schedule, at));
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
         SET paused_at = coalesce(paused_at, $2::TIMESTAMPTZ)
         WHERE name = $1`,
        [name, at.toISOString()],
      )
    );
    return count > 0;
  }

  async resume(name: string): Promise<boolean> {
    const count = await this.#change((connection, at) =>
      connection.run(
        `UPDATE agent_schedules SET paused_at = NULL,
           added_at = CASE WHEN paused_at IS NULL THEN added_at
             ELSE $2::TIMESTAMPTZ END
         WHERE name = $1`,
        [name, at.toISOString()],
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
      this.#database.announce();
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
    // The time after the wait for the file, not before.
    const result = await this.#database.transaction((connection) =>
      work(connection, this.#database.now())
    );
    this.#database.announce();
    return result;
  }
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
  const timeOf = (ms: number | null) => ms === null ? null : new Date(ms);
  return rows.map(({ addedMs, pausedMs, lastMs, ...row }) => ({
    ...row,
    addedAt: new Date(addedMs),
    pausedAt: timeOf(pausedMs),
    lastSlot: timeOf(lastMs),
  }));
}

async function put(
  connection: Connection,
  { name, definition, source, keepsSlots = false }: NewSchedule,
  at: Date,
): Promise<void> {
  const values = [name, definition, source, at.toISOString()];
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

/** @throws {LostSlotError} where it is not to be taken. */
async function note(
  connection: Connection,
  { name, slot, lastSlot, task, skipped }: TakenSlot,
  at: Date,
): Promise<void> {
  const changed = await connection.run(
    `UPDATE agent_schedules SET last_slot = $2::TIMESTAMPTZ,
       last_task_id = coalesce($4::UUID, last_task_id)
     WHERE name = $1 AND paused_at IS NULL
       AND last_slot IS NOT DISTINCT FROM $3::TIMESTAMPTZ
       AND (last_slot IS NULL OR last_slot < $2::TIMESTAMPTZ)`,
    [
      ...[name, slot.toISOString(), lastSlot?.toISOString() ?? null],
      task?.id ?? null,
    ],
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
      `UPDATE agent_schedules SET last_task_id = $3::UUID
       WHERE name = $1 AND last_task_id = $2::UUID`,
      [name, task, id],
    );
}
