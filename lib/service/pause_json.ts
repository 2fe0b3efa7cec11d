/**
 * Pauses as JSON: as `pauses --json` prints them, and the HTTP API.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import {
  OTHERS,
  PAUSE_KINDS,
  type PauseInfo,
  type PauseTarget,
} from "../store/contract.ts";
import { count, time } from "./api/task_schemas.ts";

/** The longest pause, in seconds: ten years. */
const MAX_PAUSE_SECONDS = 315_360_000;

const provider = z.string().min(1).max(200).openapi({
  description: "As in tasks",
});
/** The one that stands for all others can't be paused: they have names. */
const oneProvider = provider.regex(/^(?!\*$)/, "Expected one provider's name");

const batch = z.string().min(1).max(200);

/** What is meant. */
const TARGET = {
  provider: oneProvider.optional(),
  batch: batch.optional().openapi({
    description: "The tasks of a batch, instead of a provider's",
  }),
  all: z.literal(true).optional().openapi({
    description: "Everything, instead of a provider",
  }),
};

/** Whether one thing is meant, and no other. */
function isOneTarget(
  { provider, batch, all }: {
    readonly provider?: string | undefined;
    readonly batch?: string | undefined;
    readonly all?: true | undefined;
  },
): boolean {
  return [provider, batch, all].filter((it) => it !== undefined).length === 1;
}

const ONE_TARGET = "Expected a provider, a batch, or all";

/** What is paused. */
export const pausesSchema = z.object({
  pauses: z.array(
    z.object({
      provider: provider.openapi({
        description: "As in tasks; * of a batch, and of everything",
      }),
      batch: batch.nullable().openapi({ description: "Whose tasks wait" }),
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
  ).openapi({ description: "By their names" }),
}).openapi("Pauses");

/** What to pause. */
export const newPauseSchema = z.strictObject({
  ...TARGET,
  reason: z.string().max(1_000).default("").openapi({
    description: "Shown where its tasks are",
  }),
  seconds: z.number().positive().max(MAX_PAUSE_SECONDS).nullable().default(null)
    .openapi({ description: "Until it ends. Default: until it is resumed" }),
}).refine(isOneTarget, ONE_TARGET).openapi("NewPause");

/** What to resume. */
export const resumeSchema = z.strictObject(TARGET)
  .refine(isOneTarget, ONE_TARGET).openapi("Resume");

/** What came of it. */
export const resumedSchema = z.object({
  ended: count.openapi({ description: "How many pauses it had" }),
}).openapi("Resumed");

/** A pause with the names of its table. */
export function pauseToJson({ since, until, batch, ...rest }: PauseInfo) {
  return {
    ...rest,
    batch: batch === "" ? null : batch,
    since: since.toISOString(),
    until: until?.toISOString() ?? null,
  };
}

/** The pause that {@linkcode pauseToJson} wrote. */
export function pauseFromJson(
  { since, until, batch, ...rest }: ReturnType<typeof pauseToJson>,
): PauseInfo {
  return {
    ...rest,
    batch: batch ?? "",
    since: new Date(since),
    until: until === null ? null : new Date(until),
  };
}

/** What a request names. */
export function targetToJson(
  { provider, batch }: PauseTarget,
): Record<string, string | boolean> {
  if (batch !== undefined) return { batch };
  if (provider === OTHERS) return { all: true };
  return { provider };
}
