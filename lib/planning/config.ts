/**
 * What the configuration says of a schedule. What a cron expression means is looked
 * at by who reads the file: `schedule.ts`.
 *
 * @module
 */

import { z } from "zod";
import { duration } from "../base/config.ts";
import { IF_FAILED } from "../task/task.ts";
import { CATCH_UP, OVERLAP, SCHEDULE_NAME } from "./definition.ts";

const text = z.string();
const span = duration({ min: 0.001 });
const names = z.union([z.array(text), text]);

/** A field of a JSON Lines file, which is a flag of `create`. */
function field<T extends z.ZodType>(schema: T, flag: string) {
  return schema.optional().describe(`As --${flag} of create`);
}

const task = z.strictObject({
  instruction: z.string().regex(/\S/, "expected what to do").describe(
    "What to do",
  ),
  provider: field(text, "provider"),
  user: field(text, "user"),
  target: field(text, "target"),
  target_type: field(z.enum(["issue", "pr"]), "target-type"),
  trace: field(z.record(z.string(), z.json()), "trace"),
  priority: field(z.int(), "priority"),
  attempts: field(z.int().min(1), "attempts"),
  timeout: field(span, "timeout"),
  after: field(names, "after"),
  if_failed: field(z.enum(IF_FAILED), "if-failed"),
  batch: field(text, "batch"),
  key: field(text, "key"),
  key_for: field(span, "key-for"),
  replace: field(z.boolean(), "replace"),
  tags: field(names, "tag"),
  repo: field(text, "repo"),
  base: field(text, "base"),
  branch: field(text, "branch"),
  touches: field(names, "touches"),
  needs_approval: field(z.boolean(), "needs-approval"),
});

/** A schedule. */
export const scheduleConfig = z.strictObject({
  cron: text.optional().describe(
    'Its times: minute, hour, day, month, weekday, as in "0 2 * * 1-5"',
  ),
  every: text.optional().describe(
    'Or a span, as in "2h", of a minute or more, counted from 1970-01-01 UTC',
  ),
  zone: text.optional().describe(
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
