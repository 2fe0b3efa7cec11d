/**
 * What people see of a schedule.
 *
 * @module
 */

import { messageOf } from "../base/errors.ts";
import type { Schedule } from "../store/contract.ts";
import type { Definition } from "./definition.ts";
import { sinceOf } from "./due.ts";
import { definitionIn } from "./schedule.ts";
import { Slots } from "./slots.ts";

/** What a schedule says, and when it is next. */
export interface Upcoming {
  /** Undefined where it can't be read. */
  readonly definition: Definition | undefined;
  /** Why not. */
  readonly problem: string | undefined;
  /** None where it is paused. */
  readonly next: readonly Date[];
}

const SHOWN = 3;

/** Reads a schedule. */
export function upcomingOf(schedule: Schedule, at: Date): Upcoming {
  try {
    const definition = definitionIn(schedule.definition);
    const slots = new Slots(definition);
    const since = sinceOf(schedule);
    const from = since > at ? since : at;
    const next = schedule.pausedAt ? [] : slots.after(from, SHOWN);
    return { definition, problem: undefined, next };
  } catch (error) {
    return { definition: undefined, problem: messageOf(error), next: [] };
  }
}
