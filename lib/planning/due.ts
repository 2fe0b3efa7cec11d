/**
 * Which slots are due, and what becomes of each. Pure.
 *
 * @module
 */

import type { Schedule } from "../store/contract.ts";
import { isFinal } from "../task/task.ts";
import type { CatchUp, Definition } from "./definition.ts";
import type { Slots } from "./slots.ts";

/** No runner makes more tasks of one schedule for what was missed. */
export const MOST_CAUGHT_UP = 100;
/** And no more are counted beside them. */
const MOST_COUNTED = 1_000;
/** So late a slot is not missed yet: a runner may be busy. */
const LATE_MS = 60_000;

/** The slots that are due. */
export interface Due {
  /** Those that get a task, oldest first. */
  readonly slots: readonly Date[];
  /** The last one, task or not; undefined where none is due. */
  readonly last: Date | undefined;
  /** How many get none because they were missed, */
  readonly missed: number;
  /** and there may be more of them. */
  readonly hasMore: boolean;
}

/** From where on slots have not been seen to. */
export function sinceOf({ lastSlot, addedAt }: Schedule): Date {
  return lastSlot && lastSlot > addedAt ? lastSlot : addedAt;
}

/** The slots of a schedule that are due. */
export function dueSlots(
  slots: Pick<Slots, "between">,
  { since, at, catchUp }: {
    readonly since: Date;
    readonly at: Date;
    readonly catchUp: CatchUp;
  },
): Due {
  const most = MOST_CAUGHT_UP + MOST_COUNTED + 1;
  const found = slots.between(since, { until: at, most });
  const last = found.at(-1);
  const isLate = last && at.getTime() - last.getTime() > LATE_MS;
  const count = catchUp === "all"
    ? MOST_CAUGHT_UP
    : catchUp === "latest" || !isLate
    ? 1
    : 0;
  const taken = count === 0 ? [] : found.slice(-count);
  return {
    slots: taken,
    last,
    missed: found.length - taken.length,
    hasMore: found.length === most,
  };
}

/** What becomes of a slot. */
export type SlotPlan =
  | { readonly kind: "make"; readonly cancels?: string }
  | { readonly kind: "skip"; readonly taskId: string; readonly why: string };

/** What becomes of the next slot, for what became of the one before. */
export function planFor(
  { overlap }: Definition,
  lastTask: Schedule["lastTask"],
): SlotPlan {
  if (!lastTask || isFinal(lastTask.state) || overlap === "queue") {
    return { kind: "make" };
  }
  const { id, state } = lastTask;
  return overlap === "replace" ? { kind: "make", cancels: id } : {
    kind: "skip",
    taskId: id,
    why: `this task, of the slot before, is still ${state}`,
  };
}
