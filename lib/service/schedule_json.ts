/**
 * Schedules as JSON: as `schedule list --json` prints them, and the HTTP API.
 *
 * @module
 */

import { upcomingOf } from "../planning/upcoming.ts";
import type { Schedule } from "../store/contract.ts";
import {
  timeFromJson,
  timeToJson,
  traceFromJson,
  traceToJson,
} from "../task/json.ts";
import type { TaskState } from "../task/task.ts";

/** A schedule with the names of its table, and its next slots at a time. */
export function scheduleToJson(schedule: Schedule, at: Date) {
  const { name, definition, source, lastTask } = schedule;
  const { next, problem = null } = upcomingOf(schedule, at);
  return {
    name,
    // As it stands in a configuration file; a text where it can't be read.
    definition: traceToJson(definition),
    problem,
    source,
    added_at: schedule.addedAt.toISOString(),
    paused_at: timeToJson(schedule.pausedAt),
    last_slot: timeToJson(schedule.lastSlot),
    last_task: lastTask && { id: lastTask.id, state: lastTask.state as string },
    next: next.map((it) => it.toISOString()),
  };
}

/** The schedule that {@linkcode scheduleToJson} wrote. */
export function scheduleFromJson(
  json: Omit<ReturnType<typeof scheduleToJson>, "next" | "problem">,
): Schedule {
  const { name, definition, source, last_task: task } = json;
  return {
    name,
    definition: traceFromJson(definition) ?? "",
    source,
    addedAt: new Date(json.added_at),
    pausedAt: timeFromJson(json.paused_at),
    lastSlot: timeFromJson(json.last_slot),
    lastTask: task && { id: task.id, state: task.state as TaskState },
  };
}
