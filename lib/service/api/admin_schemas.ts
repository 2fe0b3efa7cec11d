/**
 * What people's commands ask and are told through the API. Both sides read it
 * with these.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import { EXPORT_FORMATS } from "../../store/history.ts";
import {
  answerSchema,
  anyState,
  filterFields,
  json,
  MAX_PAGE_TASKS,
  taskSchema,
  time,
  uuid,
} from "./schemas.ts";

/** The most tasks that are changed by one request. */
export const MAX_SET_TASKS = 10_000;
/** The header of an export that says how many rows are in it. */
export const ROWS_HEADER = "Agent-Runner-Rows";

const count = z.int().min(0);
const wholeNumber = (min: number, max: number) =>
  z.coerce.number().pipe(z.int().min(min).max(max));

/** Which tasks to show whole. */
export const wholeQuerySchema = z.object({
  ...filterFields,
  id: z.string().min(1).max(36).optional().openapi({
    description: "The start of an id; then the rest says nothing",
  }),
  limit: wholeNumber(1, MAX_PAGE_TASKS).default(50),
  offset: wholeNumber(0, Number.MAX_SAFE_INTEGER).default(0).openapi({
    description: "Leave out so many, the newest",
  }),
});

/** Tasks with their traces. */
export const wholeTasksSchema = z.object({ tasks: z.array(taskSchema) })
  .openapi("Tasks");

/** What chooses tasks to be changed. */
export const chooseQuerySchema = z.object(filterFields);

/** Tasks that could be changed. */
export const chosenSchema = z.object({
  count,
  tasks: z.array(z.object({ id: uuid, state: anyState })).openapi({
    description: "Oldest first",
  }),
}).openapi("ChosenTasks");

/** Tasks to change. */
export const setSchema = z.strictObject({
  ids: z.array(uuid).min(1).max(MAX_SET_TASKS),
}).openapi("TaskIds");

/** What came of cancelling many. */
export const cancelledSchema = z.object({
  results: z.array(
    z.enum(["cancelled", "requested", "ended", "unknown state", "missing"]),
  ).openapi({ description: "In the order of the ids" }),
}).openapi("Cancelled");

/** Tasks to give the same answer. */
export const answerSetSchema = z.strictObject({
  ...setSchema.shape,
  ...answerSchema.shape,
}).openapi("AnswerToMany");

/** What came of answering many. */
export const answeredSchema = z.object({
  results: z.array(z.enum(["answered", "not asked", "ended", "missing"]))
    .openapi({ description: "In the order of the ids" }),
}).openapi("Answered");

/** What came of retrying many. */
export const retriedSchema = z.object({
  results: z.array(z.discriminatedUnion("result", [
    z.object({
      result: z.literal("created"),
      new_id: uuid,
      earlier_id: uuid.nullable().openapi({
        description: "The task that an earlier retry made",
      }),
    }),
    z.object({ result: z.literal("due") }),
    z.object({
      result: z.literal("refused"),
      reason: z.enum([
        "missing",
        "created",
        "running",
        "claimable",
        "needs_input",
        "cancelling",
        "unknown state",
      ]),
    }),
  ])).openapi({ description: "In the order of the ids" }),
}).openapi("Retried");

/** What figures are about. */
export const figuresQuerySchema = z.object({
  start: time,
  bucket_seconds: wholeNumber(1, 366 * 86_400),
  buckets: wholeNumber(1, 10_000),
  reasons: wholeNumber(1, 100).default(10).openapi({
    description: "How many reasons of failures at most",
  }),
});

const percentiles = z.object({
  p50: z.number(),
  p95: z.number(),
  p99: z.number(),
}).nullable();

/** Figures about a time, and about what there is now. */
export const figuresSchema = z.object({
  tasks: z.array(z.object({ provider: z.string(), state: anyState, count })),
  buckets: z.array(z.object({
    created: count,
    started: count,
    completed: count,
    failed: count,
    cancelled: count,
  })),
  times: z.array(z.object({
    provider: z.string().nullable().openapi({ description: "Null: all" }),
    wait_ms: percentiles.openapi({
      description: "From creation to first start. Null: none started",
    }),
    run_ms: percentiles.openapi({
      description: "From last start to end. Null: none ended",
    }),
  })),
  failures: z.array(z.object({
    reason: z.string(),
    count,
    example_id: uuid,
  })).openapi({ description: "The most frequent first" }),
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
}).openapi("Overview");

/** What to write into a file. */
export const exportQuerySchema = z.object({
  ...filterFields,
  format: z.enum(EXPORT_FORMATS).default("jsonl"),
  events: z.enum(["true", "false"]).default("false").openapi({
    description: "The history instead of the tasks",
  }),
  since: time.optional().openapi({
    description: "Only what was created, or happened, then or later",
  }),
});

/** What is old. */
export const ageSchema = z.strictObject({
  before: time.openapi({ description: "What ended before then" }),
}).openapi("Age");

/** How much is, or would be, deleted. */
export const prunedSchema = z.object({
  tasks: count,
  events: count,
  kept: count.openapi({
    description: "Tasks as old, but webhooks still wait for their events",
  }),
}).openapi("Pruned");

/** How large the database is. */
export const sizeSchema = z.object({
  bytes: count,
  free_bytes: count.openapi({ description: "Of those, free for new tasks" }),
}).openapi("StoreSize");
