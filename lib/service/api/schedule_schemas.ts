/**
 * What requests about schedules and their responses look like.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import { SCHEDULE_NAME } from "../../planning/definition.ts";
import { anyState, json, time, uuid } from "./task_schemas.ts";

const name = z.string().regex(SCHEDULE_NAME, "Expected a schedule's name")
  .openapi({ example: "nightly" });

/** All schedules. */
export const schedulesSchema = z.object({
  schedules: z.array(
    z.object({
      name,
      definition: json.openapi({
        description: "As in a configuration file: cron or every, zone, task, " +
          "catchUp, overlap",
      }),
      problem: z.string().nullable().openapi({
        description: "Why it makes no tasks",
      }),
      source: z.string().openapi({
        description: "command, or file with the machine and the path",
      }),
      added_at: time.openapi({
        description: "Since when its times count: it was added, changed or " +
          "resumed then",
      }),
      paused_at: time.nullable(),
      last_slot: time.nullable().openapi({
        description: "The last slot that was seen to",
      }),
      last_task: z.object({ id: uuid, state: anyState }).nullable(),
      next: z.array(time).openapi({ description: "Its next three slots" }),
    }).openapi("Schedule"),
  ).openapi({ description: "By their names" }),
  as_of: time,
}).openapi("Schedules");

/** A schedule to add, or to change. */
export const newScheduleSchema = z.strictObject({
  name,
  definition: z.record(z.string(), json).openapi({
    description: "As in a configuration file",
    example: { cron: "0 2 * * *", task: { instruction: "Update all" } },
  }),
  keeps_slots: z.boolean().default(false).openapi({
    description: "Slots that it missed before it was changed still are",
  }),
}).openapi("NewSchedule");

/** Which schedule. */
export const scheduleNameSchema = z.strictObject({ name })
  .openapi("ScheduleName");

/** What came of it. */
export const scheduleChangedSchema = z.object({
  found: z.boolean().openapi({ description: "There is one" }),
}).openapi("ScheduleChanged");
