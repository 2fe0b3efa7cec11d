/**
 * What requests and responses about tasks look like. The OpenAPI document is made
 * from it, and the client reads with it.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import { DURATION } from "../../base/figures.ts";
import { MAX_LISTED_TEXT } from "../../store/contract.ts";
import { SHOWN_STATES } from "../../task/shown_state.ts";
import {
  MAX_AFTER,
  MAX_NAME_CHARACTERS,
  MAX_TAGS,
  MAX_TOUCHES,
} from "../../task/new_task.ts";
import {
  IF_FAILED,
  type JsonValue,
  NOW,
  RUN_NOTES,
  TASK_STATES,
} from "../../task/task.ts";

/** The most tasks in one batch. */
export const MAX_BATCH_TASKS = 10_000;
/** The most bytes of one batch. */
export const MAX_BATCH_BYTES = 16 * 1024 ** 2;
/** The most tasks on one page. */
export const MAX_PAGE_TASKS = 500;

const MAX_INTEGER = 2_147_483_647;

/** Not `z.uuid()`, which refuses what DuckDB takes: other versions and variants. */
export const uuid = z.string()
  .regex(/^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/, "Invalid UUID")
  .openapi({ format: "uuid" });
/** A time. */
export const time = z.iso.datetime({ offset: true });
const state = z.enum(TASK_STATES).openapi("TaskState");
/** Another program may have put anything into the table. */
export const anyState = z.union([state, z.string()]);
/** Any JSON. Not `z.json()`, which refuses an integer beyond 2^53. */
export const json = z.unknown() as z.ZodType<JsonValue>;
/** How many. */
export const count = z.int().min(0);
/** A whole number in a query. */
export const wholeNumber = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  z.coerce.number().pipe(z.int().min(min).max(max));
/** A yes or no in a query. */
export const flag = z.enum(["true", "false"]).default("false");
const name = z.string().regex(/\S/, "Expected a text").max(200);

/** A batch, a key or a tag. */
export const shortName = z.string().max(MAX_NAME_CHARACTERS)
  .regex(/^[^\s,]([^,\n]*[^\s,])?$/, "Expected a text without commas");
const duration = z.union([
  z.number().positive().max(MAX_INTEGER),
  z.string().regex(DURATION),
]);

/** A task to create. */
export const newTaskSchema = z.strictObject({
  id: uuid.optional().openapi({
    description: "Default: a new one. A second task with one id is refused.",
  }),
  instruction: z.string().regex(/\S/, "Expected a text").openapi({
    description: "What to do",
    example: "Summarise the open issues",
  }),
  provider: name.optional().openapi({
    description: "Who does the work. Default: default_provider of /session",
  }),
  user: name.optional().openapi({
    description: 'Whose task it is: a UUID or any text. Default: "local"',
  }),
  target: z.string().regex(/^([^\s/#]+\/[^\s/#]+)?#[1-9]\d{0,9}$/).optional()
    .openapi({
      description: "The issue or pull request that it is about",
      example: "octo/app#12",
    }),
  target_type: z.enum(["issue", "pr"]).optional().openapi({
    description: 'Only with a target. Default: "issue"',
  }),
  trace: z.record(z.string(), json).optional().openapi({
    description: "What the task's trace begins with. What was approved, and " +
      "where a task works, it can't say",
  }),
  priority: z.int().min(-MAX_INTEGER).max(MAX_INTEGER).optional().openapi({
    description: "Higher runs first. Default: 0",
  }),
  run_at: time.optional().openapi({ description: "Not before this time" }),
  attempts: z.int().min(1).max(MAX_INTEGER).optional().openapi({
    description: "Tries of a task that fails. Default: the runner's",
  }),
  timeout: duration.optional().openapi({
    description: "How long a run may take: a number of seconds, or a " +
      "duration like 90s, 15m, 24h or 7d. Default: the runner's",
    example: "15m",
  }),
  after: z.array(shortName).max(MAX_AFTER).optional().openapi({
    description: "The tasks that must have ended before: their ids, or keys, " +
      "of one that is created with it or else of the newest one that has it",
  }),
  if_failed: z.enum(IF_FAILED).optional().openapi({
    description: "What becomes of it when one of those has failed: it fails " +
      'too, is skipped, or runs all the same. Default: "fail"',
  }),
  batch: shortName.optional().openapi({
    description: "A name that it has in common with others",
    example: "nightly",
  }),
  key: shortName.optional().openapi({
    description: "At most one task with a key has not ended: where there is " +
      "one, no other is created, and its id is returned",
  }),
  key_for: duration.optional().openapi({
    description:
      "The key is taken for so long after its task was created, though that " +
      "has ended",
    example: "24h",
  }),
  replace: z.boolean().optional().openapi({
    description:
      "A task with the key that has not begun becomes this one. Default: false",
  }),
  tags: z.array(shortName).max(MAX_TAGS).optional(),
  repo: z.string().min(1).max(4_096).optional().openapi({
    description: "The repository it works on, where its provider uses git: a " +
      "folder on the runner's machine, or an address",
  }),
  base: z.string().min(1).max(4_096).optional().openapi({
    description: "What its branch begins at, and is merged into",
    example: "main",
  }),
  branch: z.string().min(1).max(4_096).optional(),
  touches: z.array(shortName).max(MAX_TOUCHES).optional().openapi({
    description:
      "Globs of what it changes: tasks of which they overlap do not " +
      "run at the same time",
    example: ["src/api/**"],
  }),
  needs_approval: z.boolean().optional().openapi({
    description: "It does not begin before a person has approved it. " +
      "Default: false",
  }),
}).openapi("NewTask");

/** What to change of a task. */
export const editSchema = newTaskSchema.pick({
  instruction: true,
  provider: true,
  target: true,
  target_type: true,
  priority: true,
  attempts: true,
  timeout: true,
  batch: true,
  tags: true,
  repo: true,
  base: true,
  branch: true,
  touches: true,
  needs_approval: true,
}).partial().extend({
  run_at: z.union([time, z.literal(NOW)]).optional().openapi({
    description: "Not before this time",
  }),
}).strict().openapi("TaskEdit");

/** One of many tasks to create. */
const batchTaskSchema = newTaskSchema.partial({ instruction: true })
  .openapi("BatchTask");

/** Many tasks to create. */
export const batchSchema = z.strictObject({
  tasks: z.array(batchTaskSchema).min(1).max(MAX_BATCH_TASKS),
}).openapi("NewTasks");

const warnings = z.array(z.string()).openapi({
  description: "Of providers whose tasks nobody works on",
});

const places = (what: string) =>
  z.array(z.int()).openapi({
    description: `Places in ids, from 0, of tasks that had the key ` +
      `already${what}`,
  });

/** What creating many gives. */
export const createdSchema = z.object({
  count: z.int(),
  ids: z.array(uuid).openapi({ description: "In the order of the tasks" }),
  existing: places(", and stay as they are"),
  replaced: places(" and had not begun: they are the new ones now"),
  warnings,
}).openapi("CreatedTasks");

const commonTaskFields = {
  id: uuid,
  state: anyState,
  shown_state: z.string().openapi({
    description:
      "The state, or the part of it that the task is in: blocked (it waits for " +
      "another task) of created, retrying and queued (no runner has it) of " +
      "running, cancelled and skipped of failed, simulated of completed",
  }),
  simulated: z.boolean().openapi({
    description: "What came of it was simulated: nothing was done",
  }),
  user_id: uuid,
  provider: z.string(),
  target_type: z.enum(["issue", "pr"]).nullable(),
  target_ref: z.string().nullable(),
  instruction: z.string().nullable(),
  priority: z.int(),
  attempt: z.int().openapi({ description: "Claims so far" }),
  questions: z.int().openapi({
    description:
      "How many of those ended with a question: they count against " +
      "no limit",
  }),
  max_attempts: z.int().nullable(),
  timeout_seconds: z.number().nullable(),
  run_at: time.nullable().openapi({
    description: "Not before this time; of a task that needs input: the end " +
      "of the time for an answer",
  }),
  batch: z.string().nullable(),
  key: z.string().nullable(),
  tags: z.array(z.string()),
  if_failed: z.enum(IF_FAILED).nullable().openapi({
    description: "What a failure of a task that it waits for means to it; " +
      "null: it waits for none",
  }),
  blocked: z.boolean().openapi({
    description: "A task that it waits for has not ended yet",
  }),
  repo: z.string().nullable(),
  base: z.string().nullable(),
  branch: z.string().nullable(),
  touches: z.array(z.string()),
  needs_approval: z.boolean(),
  lease_owner: z.string().nullable().openapi({
    description: "The runner that works on it, or did last",
  }),
  lease_expires_at: time.nullable(),
  cancel_requested_at: time.nullable(),
  created_at: time,
  updated_at: time,
};

const taskFields = {
  ...commonTaskFields,
  trace: json.openapi({
    description: "An object; a text where another program left no JSON object",
  }),
};

/** A task with its trace. */
export const taskSchema = z.object(taskFields).openapi("Task");

/** A task that was just created. */
export const createdTaskSchema = z.object({
  ...taskFields,
  existing: z.literal(true).optional().openapi({
    description: "It had the key already, and stays as it is",
  }),
  replaced: z.literal(true).optional().openapi({
    description: "It had the key already and had not begun: it is the new " +
      "one now",
  }),
  warnings,
}).openapi("CreatedTask");

/** A task in a list. */
export const listedTaskSchema = z.object({
  ...commonTaskFields,
  instruction: z.string().max(MAX_LISTED_TEXT).nullable().openapi({
    description: `The first ${MAX_LISTED_TEXT} characters`,
  }),
  progress: z.string().nullable().openapi({
    description: "What its run noted last",
  }),
  progress_fraction: z.number().min(0).max(1).nullable(),
  error: z.string().nullable().openapi({ description: "Why it failed" }),
  question: z.string().nullable().openapi({
    description: "What it asked; it waits for an answer while needs_input",
  }),
}).openapi("ListedTask");

const pageFields = {
  total: count.openapi({ description: "Tasks on all pages" }),
  next_cursor: z.string().nullable().openapi({
    description: "For ?cursor= of the next page. Null: this is the last",
  }),
};

/** A page of tasks. */
export const pageSchema = z.object({
  tasks: z.array(listedTaskSchema),
  ...pageFields,
}).openapi("TaskPage");

/** A page of tasks with their traces. */
export const wholePageSchema = z.object({
  tasks: z.array(taskSchema),
  ...pageFields,
}).openapi("Tasks");

/** What chooses tasks by what they have in common. */
export const filterFields = {
  state: z.string().transform((text) => text.split(",").map((it) => it.trim()))
    .pipe(z.array(z.enum(SHOWN_STATES))).optional().openapi({
      type: "string",
      description: `States, separated by commas: ${SHOWN_STATES.join(", ")}`,
      example: "failed,needs_input",
    }),
  provider: z.string().max(200).optional(),
  batch: shortName.optional(),
  key: shortName.optional(),
  tag: z.string().transform((text) => text.split(",").map((it) => it.trim()))
    .pipe(z.array(shortName).max(MAX_TAGS)).optional().openapi({
      type: "string",
      description: "Tags, separated by commas: tasks that have all of them",
    }),
  q: z.string().max(200).optional().openapi({
    description: "Text in the instruction or target, or the start of an id",
  }),
  since: time.optional().openapi({ description: "Created then or later" }),
  before: time.optional().openapi({ description: "Created before then" }),
};

/** What filters a list. */
export const listQuerySchema = z.object({
  ...filterFields,
  limit: wholeNumber(1, MAX_PAGE_TASKS).default(50),
  cursor: z.string().optional().openapi({
    description: "next_cursor of the page before",
  }),
});

/** Which tasks to show with their traces. */
export const wholeQuerySchema = listQuerySchema.extend({
  id: z.string().min(1).max(36).optional().openapi({
    description: "The start of an id; then only limit counts beside it",
  }),
  offset: wholeNumber(0).default(0).openapi({
    description: "Leave out so many, the newest. A cursor is faster",
  }),
  brief: flag.openapi({
    description: `Cut instructions to ${MAX_LISTED_TEXT} characters, and ` +
      "leave out what is not listed of long traces",
  }),
});

/** The id of a task in a path. */
export const idParamSchema = z.object({
  id: uuid.openapi({ param: { name: "id", in: "path" } }),
});

/** A row of a task's history. */
export const eventSchema = z.object({
  id: z.int().openapi({ description: "Grows with every event" }),
  task_id: uuid,
  kind: z.string().openapi({
    description: "created, started, progress, completed, failed, " +
      "needs_input, retry_scheduled, released, limited, handed_over, " +
      "answered, noted, edited, retried, " +
      `batch_ended, cancel_requested, cancelled, skipped; in a run ${
        RUN_NOTES.join(", ")
      }`,
  }),
  occurred_at: time,
  attempt: z.int(),
  runner: z.string().nullable(),
  detail: z.string().nullable(),
  printed: z.object({
    stdout: z.string().optional(),
    stderr: z.string().optional(),
  }).optional().openapi({
    description: "What the program of the attempt printed, where that is " +
      "not its result. Not in streams",
  }),
  usage: z.object({
    input: z.number().optional(),
    output: z.number().optional(),
    cached: z.number().optional(),
    costUsd: z.number().optional(),
    model: z.string().optional(),
  }).optional().openapi({
    description: "Tokens and cost of the attempt, where the agent told them",
  }),
}).openapi("TaskEvent");

/** A task's history. */
export const eventsSchema = z.object({ events: z.array(eventSchema) })
  .openapi("TaskEvents");

/** Whether a token is needed, whether it was given, and what it allows. */
export const sessionSchema = z.object({
  token_needed: z.boolean(),
  authorized: z.boolean(),
  may_change: z.boolean(),
  default_provider: z.string().openapi({
    description: "The provider of a new task that names none",
  }),
}).openapi("Session");

/** A refusal or failure. */
export const problemSchema = z.object({
  type: z.literal("about:blank"),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  errors: z.array(z.object({ path: z.string(), message: z.string() }))
    .optional(),
  reason: z.string().optional().openapi({
    description: "Why, in a word for programs: missing, ended, not asked, " +
      "duplicate id, …",
  }),
  task_id: uuid.optional().openapi({
    description: "The task that it is about",
  }),
}).openapi("Problem");
