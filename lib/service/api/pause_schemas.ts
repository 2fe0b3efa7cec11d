/**
 * What requests about pauses of providers and their responses look like.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import { PAUSE_KINDS } from "../../store/contract.ts";
import { count, time } from "./task_schemas.ts";

/** The longest pause, in seconds: ten years. */
const MAX_PAUSE_SECONDS = 315_360_000;

const provider = z.string().min(1).max(200).openapi({
  description: "As in tasks",
});
/** The one that stands for all others can't be paused: they have names. */
const oneProvider = provider.regex(/^(?!\*$)/, "Expected one provider's name");

/** Who is paused. */
export const pausesSchema = z.object({
  pauses: z.array(
    z.object({
      provider,
      kind: z.enum(PAUSE_KINDS).openapi({
        description: "Who paused it: a person, its own limit, or a budget",
      }),
      reason: z.string(),
      since: time,
      until: time.nullable().openapi({
        description: "When it ends, a limit by one task that tries; null: " +
          "when a person says so",
      }),
      tries: count.openapi({
        description: "How often in a row nobody knew when the limit ends",
      }),
      waiting: count.openapi({ description: "Tasks that wait because of it" }),
    }).openapi("Pause"),
  ).openapi({ description: "By their providers" }),
}).openapi("Pauses");

/** A provider to pause. */
export const newPauseSchema = z.strictObject({
  provider: oneProvider,
  reason: z.string().max(1_000).default("").openapi({
    description: "Shown where its tasks are",
  }),
  seconds: z.number().positive().max(MAX_PAUSE_SECONDS).nullable().default(null)
    .openapi({ description: "Until it ends. Default: until it is resumed" }),
}).openapi("NewPause");

/** A provider to resume. */
export const resumeSchema = z.strictObject({ provider }).openapi("Resume");

/** What came of it. */
export const resumedSchema = z.object({
  ended: count.openapi({ description: "How many pauses it had" }),
}).openapi("Resumed");
