/**
 * Makes the tasks of slots that are due.
 *
 * @module
 */

import { messageOf, UsageError } from "../base/errors.ts";
import { countOf } from "../base/figures.ts";
import type { Log } from "../base/log.ts";
import type { Schedule, Schedules, TakenSlot } from "../store/contract.ts";
import type { Definition } from "./definition.ts";
import { type Due, dueSlots, planFor, sinceOf } from "./due.ts";
import { definitionIn, taskForSlot } from "./schedule.ts";
import { Slots } from "./slots.ts";
import { wholeTimeOf } from "./wall_time.ts";

/** Options for {@linkcode ScheduledTasks}. */
export interface ScheduledTasksOptions {
  readonly schedules: Pick<Schedules, "take">;
  readonly log: Log;
}

interface Planned {
  readonly definition: Definition;
  readonly slots: Slots;
}

/** See the module's description. */
export class ScheduledTasks {
  readonly #options: ScheduledTasksOptions;
  /** By the texts of their definitions; undefined where that is wrong. */
  readonly #planned = new Map<string, Planned | undefined>();

  constructor(options: ScheduledTasksOptions) {
    this.#options = options;
  }

  /**
   * Makes what is due of a schedule. Returns its next slot; undefined where nobody
   * waits for one.
   *
   * @throws {DatabaseError} where the store can't be used.
   */
  async make(schedule: Schedule, at: Date): Promise<Date | undefined> {
    const planned = this.#plan(schedule);
    if (!planned || schedule.pausedAt) return undefined;
    const { definition, slots } = planned;
    const since = sinceOf(schedule);
    const { catchUp } = definition;
    const due = dueSlots(slots, { since, at, catchUp });
    if (due.last) await this.#take(schedule, definition, due);
    const [next] = slots.after(since > at ? since : at, 1);
    return next;
  }

  #plan({ name, definition: text }: Schedule): Planned | undefined {
    if (this.#planned.has(text)) return this.#planned.get(text);
    let planned: Planned | undefined;
    try {
      const definition = definitionIn(text);
      planned = { definition, slots: new Slots(definition) };
    } catch (error) {
      this.#failed(name, messageOf(error));
    }
    this.#planned.set(text, planned);
    return planned;
  }

  async #take(
    schedule: Schedule,
    definition: Definition,
    due: Due,
  ): Promise<void> {
    const { name } = schedule;
    const { schedules } = this.#options;
    let { lastSlot, lastTask } = schedule;
    // What gets no task is noted with the first that does, or with the last.
    let missed = missedText(due, definition);
    if (due.slots.length === 0 && due.last) {
      const slot = due.last;
      const skipped = noteOf(lastTask, missed);
      const taken = await schedules.take({ name, slot, lastSlot, skipped });
      if (taken !== "lost") this.#missed(name, missed);
      return;
    }
    for (const slot of due.slots) {
      const plan = planFor(definition, lastTask);
      const when = wholeTimeOf(slot, definition.zone);
      const why = plan.kind === "skip"
        ? `its slot ${when} was skipped: ${plan.why}`
        : undefined;
      const texts = [missed, why].filter((it) => it !== undefined);
      const taken: TakenSlot = {
        ...{ name, slot, lastSlot, ...why === undefined && plan },
        ...texts.length > 0 && { skipped: noteOf(lastTask, texts.join("; ")) },
      };
      const id = why === undefined
        ? await this.#make(taken, definition)
        : await schedules.take(taken);
      if (id === "lost") return; // Somebody else is at it.
      if (missed !== undefined) this.#missed(name, missed);
      if (why !== undefined) {
        this.#options.log.warning(`Schedule ${name}: ${why}`, {
          event: "slot_skipped",
          schedule: name,
          task: lastTask?.id,
        });
      }
      if (id !== null) {
        lastTask = { id, state: "created" };
        this.#options.log.info(
          `Schedule ${name}: task ${id} for its slot ${when}`,
          { event: "slot_taken", schedule: name, task: id },
        );
      }
      lastSlot = slot;
      missed = undefined;
    }
  }

  /** Where the task can't be made, its slot gets none: it would fail for ever. */
  async #make(
    taken: TakenSlot,
    definition: Definition,
  ): Promise<string | null | "lost"> {
    const { schedules } = this.#options;
    const { name, slot } = taken;
    try {
      const task = await taskForSlot(name, definition, { slot });
      return await schedules.take({ ...taken, task });
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      const { cancels: _, ...rest } = taken;
      this.#failed(name, messageOf(error));
      return await schedules.take(rest);
    }
  }

  #missed(name: string, text: string | undefined): void {
    this.#options.log.warning(`Schedule ${name}: ${text}`, {
      event: "slots_missed",
      schedule: name,
    });
  }

  #failed(name: string, error: string): void {
    this.#options.log.error(`Schedule ${name} makes no task: ${error}`, {
      event: "schedule_failed",
      schedule: name,
      error,
    });
  }
}

function missedText(
  { missed, hasMore, last }: Due,
  { catchUp, zone }: Definition,
): string | undefined {
  if (missed === 0 || !last) return undefined;
  const count = `${hasMore ? "more than " : ""}${countOf(missed, "slot")}`;
  return `${count} until ${wholeTimeOf(last, zone)} passed while no runner ` +
    `was there, and get no task (catchUp is ${catchUp})`;
}

function noteOf(
  lastTask: Schedule["lastTask"],
  detail: string | undefined,
): TakenSlot["skipped"] {
  return lastTask && detail !== undefined
    ? { taskId: lastTask.id, detail }
    : undefined;
}
