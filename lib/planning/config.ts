/**
 * What the configuration says of a schedule. What a cron expression means is looked
 * at by who reads the file: `schedule.ts`.
 *
 * @module
 */

import { z } from "zod";
import { IF_FAILED } from "../task/task.ts";
import { CATCH_UP, OVERLAP, SCHEDULE_NAME } from "./definition.ts";

const text = z.string().optional();
const number = z.union([z.number(), z.string()]).optional();
const names = z.union([z.array(z.string()), z.string()]).optional();

/** The fields of a line in a JSON Lines file, but those that each slot has itself. */
const task = z.strictObject({
  instruction: z.string().regex(/\S/, "expected what to do"),
  provider: text,
  user: text,
  target: text,
  target_type: z.enum(["issue", "pr"]).optional(),
  trace: z.record(z.string(), z.json()).optional(),
  priority: number,
  attempts: number,
  timeout: number,
  after: names,
  if_failed: z.enum(IF_FAILED).optional(),
  batch: text,
  key: text,
  key_for: number,
  replace: z.boolean().optional(),
  tags: names,
});

/** A schedule. */
export const scheduleConfig = z.strictObject({
  cron: text.describe(
    'Its times: minute, hour, day, month, weekday, as in "0 2 * * 1-5"',
  ),
  every: text.describe(
    'Or a span, as in "2h", of a minute or more, counted from 1970-01-01 UTC',
  ),
  zone: text.describe(
    'The time zone, as in "Europe/Berlin". Default: the machine\'s when it is ' +
      "put into the database first",
  ),
  task: task.describe(
    "The task that it makes; {slot}, {slot:date} and {slot:time} in its texts " +
      "are the slot's time",
  ),
  catchUp: z.enum(CATCH_UP).optional().describe(
    "What becomes of slots that passed while no runner was there. Default: the " +
      "latest is made up for",
  ),
  overlap: z.enum(OVERLAP).optional().describe(
    "What becomes of a slot while the task of the one before has not ended. " +
      "Default: skip, or queue where catchUp is all",
  ),
});

/** Schedules by their names. */
export const schedulesConfig = z.record(
  z.string().regex(
    SCHEDULE_NAME,
    "expected letters, digits, _, - and ., at most 100",
  ),
  scheduleConfig,
);

/** What the file says of a schedule. */
export type ScheduleOptions = z.output<typeof scheduleConfig>;
