/**
 * What requests about all tasks and their responses look like.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import { EXPORT_FORMATS } from "../../store/contract.ts";
import {
  anyState,
  count,
  filterFields,
  flag,
  json,
  MAX_PAGE_TASKS,
  time,
  uuid,
  wholeNumber,
} from "./task_schemas.ts";

/** The header of an export that says how many rows are in it. */
export const ROWS_HEADER = "Agent-Runner-Rows";

/** Why nothing was pruned: the database itself refuses it. */
export const REFUSED = "refused by the database";

const median = { p50: z.number(), p95: z.number() };
const seconds = z.object(median).nullable();
const milliseconds = z.object({ ...median, p99: z.number() }).nullable();
const WAIT = "From creation to first start. Null: none started";
const RUN = "From the start of a run to its end. Null: none ended";

const times = {
  wait_ms: milliseconds.openapi({ description: WAIT }),
  run_ms: milliseconds.openapi({ description: RUN }),
};

const happened = {
  created: count,
  started: count,
  completed: count,
  failed: count,
  cancelled: count,
  retried: count,
  simulated: count.openapi({ description: "Of the completed ones" }),
};

const now = {
  as_of: time,
  waiting: count.openapi({ description: "Tasks that could be claimed now" }),
  waiting_since: time.nullable().openapi({
    description: "Since when the one that waits longest could be claimed",
  }),
  in_flight: count.openapi({ description: "Tasks that a runner works on" }),
};

const tokens = z.number().openapi({ description: "Tokens" });
const usage = z.array(z.object({
  provider: z.string(),
  model: z.string().nullable(),
  runs: count,
  input: tokens,
  output: tokens,
  cached: tokens,
  cost_usd: z.number().openapi({
    description: "Of the runs of which it is known",
  }),
})).openapi({ description: "What agents used in the time, the dearest first" });

const stateCounts = z.array(
  z.object({ provider: z.string(), state: anyState, count }),
).openapi({ description: "The largest first" });

/** What there is now. */
export const countsSchema = z.object({ ...now, tasks: stateCounts })
  .openapi("Counts");

/** What plots ask for. */
export const statsQuerySchema = z.object({
  window: z.string().regex(/^[1-9]\d{0,5}[smhd]$/).default("24h").openapi({
    description: "How far back: 15m, 24h, 7d; 366d at most",
  }),
  buckets: wholeNumber(1, 500).default(96),
});

const totals = { total: count, states: z.record(z.string(), count) };

/** What there is now, and what happened over time. */
export const statsSchema = z.object({
  ...now,
  ...totals,
  providers: z.array(z.object({ provider: z.string(), ...totals })).openapi({
    description: "Most tasks first; at most 100",
  }),
  window_seconds: z.number(),
  bucket_seconds: z.number(),
  buckets: z.array(z.object({
    start: time,
    ...happened,
    wait_seconds: seconds.openapi({ description: WAIT }),
    run_seconds: seconds.openapi({ description: RUN }),
  })),
  usage,
}).openapi("Stats");

/** What figures are about. */
export const figuresQuerySchema = z.object({
  start: time,
  bucket_seconds: wholeNumber(1, 366 * 86_400),
  buckets: wholeNumber(1, 10_000),
  reasons: wholeNumber(0, 100).default(10).openapi({
    description: "How many reasons of failures at most",
  }),
});

/** Figures about a time, and about what there is now. */
export const figuresSchema = z.object({
  tasks: stateCounts,
  buckets: z.array(z.object({ ...happened, ...times })),
  times: z.array(z.object({
    provider: z.string().nullable().openapi({ description: "Null: all" }),
    ...times,
  })),
  failures: z.array(z.object({
    reason: z.string(),
    count,
    example_id: uuid,
  })).openapi({ description: "The most frequent first" }),
  usage,
}).openapi("Figures");

/** How much a live view shows. */
export const overviewQuerySchema = z.object({
  limit: wholeNumber(1, MAX_PAGE_TASKS).default(100),
  recent_seconds: wholeNumber(1, 3_600).default(60),
});

const shownTask = z.object({
  id: uuid,
  provider: z.string(),
  instruction: z.string().nullable(),
  state: anyState,
  trace: json,
  started_at: time.nullable(),
  lease_expires_at: time.nullable(),
  updated_at: time,
}).openapi("ShownTask");

/** What a live view shows. */
export const overviewSchema = z.object({
  states: z.record(z.string(), count),
  running: z.array(shownTask),
  running_count: count,
  ended: z.array(shownTask),
  ended_by_second: z.array(z.object({ second: z.int(), count })).openapi({
    description: "By whole seconds since 1970",
  }),
  simulated_lately: count.openapi({
    description: "How many of those were only simulated",
  }),
}).openapi("Overview");

/** What to write into a file. */
export const exportQuerySchema = z.object({
  ...filterFields,
  format: z.enum(EXPORT_FORMATS).default("jsonl"),
  events: flag.openapi({
    description: "The history instead of the tasks: since and before are " +
      "about when it happened",
  }),
  for_spreadsheet: flag.openapi({
    description: "Of CSV: put ' before a text that a spreadsheet would compute",
  }),
});

/** What is old. */
export const ageSchema = z.strictObject({
  before: time.openapi({ description: "What ended before then" }),
}).openapi("Age");

const pruned = {
  tasks: count,
  events: count,
  kept: count.openapi({
    description:
      "Tasks as old, but webhooks, or other tasks, still wait for them",
  }),
};

/** How much would be deleted. */
export const prunableSchema = z.object(pruned).openapi("Prunable");

/** How much was deleted, and what the store takes; null where it can't say. */
export const prunedSchema = z.object({
  ...pruned,
  folders: count.optional().openapi({
    description: "Of the tasks, on this machine",
  }),
  bytes_before: count.nullable(),
  bytes: count.nullable(),
  free_bytes: count.nullable().openapi({
    description: "Of those, free for new tasks",
  }),
}).openapi("Pruned");
