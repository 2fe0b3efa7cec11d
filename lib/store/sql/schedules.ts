/**
 * What makes tasks at its times, and how far that is.
 *
 * @module
 */

import { DuplicateIdError } from "../../base/errors.ts";
import {
  type IdList,
  type NewSchedule,
  type NewTasks,
  newTasks,
  type Schedule,
  type Schedules,
  type TakenSlot,
} from "../contract.ts";
import { cancelTasks, type RequestStore } from "../requests.ts";
import type { SqlConnection } from "./connection.ts";

/** What a database does for it, in the transaction that is open. */
export interface ScheduleStore {
  readonly connection: SqlConnection;
  readonly requests: RequestStore;
  /** All of them, by their names. */
  list(): Promise<Schedule[]>;
  put(schedule: NewSchedule): Promise<void>;
}

type Work<T> = (store: ScheduleStore) => Promise<T>;

/** A database, and how it makes tasks. */
export interface ScheduleDatabase {
  /** Runs `work` in a transaction that changes nothing. */
  read<T>(
    work: Work<T>,
    options: { readonly signal?: AbortSignal },
  ): Promise<T>;
  /** Runs it in one that may. */
  change<T>(work: Work<T>): Promise<T>;
  /** Makes tasks, and does what else there is to do in the same transaction. */
  create(
    tasks: NewTasks,
    beside: { readonly before: Work<void>; readonly after: Work<void> },
  ): Promise<IdList>;
  /** Wakes the queue's listeners. */
  announce(): void;
}

/** Somebody has taken it, or it may not be taken any more. */
class LostSlotError extends Error {}

/** The {@linkcode Schedules} of a database. What they change wakes the queue's listeners. */
export function schedulesOf(database: ScheduleDatabase): Schedules {
  async function change<T>(work: Work<T>): Promise<T> {
    const result = await database.change(work);
    database.announce();
    return result;
  }

  async function take(taken: TakenSlot): Promise<string | null> {
    const { name, task, cancels } = taken;
    const noting = (store: ScheduleStore) => note(store, taken);
    if (!task) {
      await change(noting);
      return null;
    }
    try {
      const ids = await database.create(newTasks([task]), {
        before: noting,
        after: async ({ requests }) => {
          if (cancels !== undefined) await cancelTasks(requests, [cancels]);
        },
      });
      database.announce();
      const [id = task.id] = [...ids.sets()].flat();
      // Another task has its key.
      if (id !== task.id) {
        await change(({ connection }) =>
          connection.run(
            `UPDATE agent_schedules SET last_task_id = $3::uuid
             WHERE name = $1 AND last_task_id = $2::uuid`,
            [name, task.id, id],
          )
        );
      }
      return id;
    } catch (error) {
      if (!(error instanceof DuplicateIdError)) throw error;
      await change(noting);
      return task.id;
    }
  }

  return {
    list: (options = {}) =>
      database.read(async ({ list, requests: { at } }) => (
        { schedules: await list(), at }
      ), options),

    put: (schedule) => change((store) => store.put(schedule)),

    async remove(name) {
      const count = await change(({ connection }) =>
        connection.run("DELETE FROM agent_schedules WHERE name = $1", [name])
      );
      return count > 0;
    },

    async pause(name) {
      const count = await change(({ connection, requests: { at } }) =>
        connection.run(
          `UPDATE agent_schedules
           SET paused_at = coalesce(paused_at, $2::timestamptz)
           WHERE name = $1`,
          [name, at],
        )
      );
      return count > 0;
    },

    async resume(name) {
      const count = await change(({ connection, requests: { at } }) =>
        connection.run(
          `UPDATE agent_schedules SET paused_at = NULL,
             added_at = CASE WHEN paused_at IS NULL THEN added_at
               ELSE $2::timestamptz END
           WHERE name = $1`,
          [name, at],
        )
      );
      return count > 0;
    },

    async take(taken) {
      try {
        return await take(taken);
      } catch (error) {
        if (error instanceof LostSlotError) return "lost";
        throw error;
      }
    },
  };
}

/** @throws {LostSlotError} where it is not to be taken. */
async function note(
  { connection, requests }: ScheduleStore,
  { name, slot, lastSlot, task, skipped }: TakenSlot,
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
  const { taskId: id, detail } = skipped;
  const held = (await requests.held([id])).get(id);
  if (!held) return;
  const { attempt } = held.task;
  await requests.tell([{ id, kind: "slot_skipped", attempt, detail }]);
}
