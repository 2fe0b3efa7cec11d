/**
 * What requests that change tasks and their responses look like.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import { MOVE_TARGETS } from "../../store/contract.ts";
import { MAX_TEXT_CHARACTERS } from "../../task/outcome.ts";
import { MAX_ANSWER_CHARACTERS } from "../../task/task.ts";
import { AMENDMENTS } from "../../task/workspace.ts";
import { anyState, count, filterFields, uuid } from "./task_schemas.ts";

const shortText = z.string().min(1).max(MAX_TEXT_CHARACTERS);

/** The most tasks that are changed by one request. */
export const MAX_SET_TASKS = 10_000;

const words = z.string().regex(/\S/, "Expected a text")
  .max(MAX_ANSWER_CHARACTERS);

/** The answer to a task's question. */
export const answerSchema = z.strictObject({
  answer: words,
}).openapi("Answer");

/** A note for the next attempt of a task. */
export const noteSchema = z.strictObject({ id: uuid, text: words })
  .openapi("Note");

/** What a retry is given. */
export const retryRequestSchema = z.strictObject({
  note: words.optional().openapi({
    description: "For the agent, from its start",
  }),
}).openapi("RetryTask");

/** What came of leaving it. */
export const notedSchema = z.object({
  result: z.enum(["noted", "ended", "missing", "unknown state"]),
}).openapi("Noted");

/** What came of changing a task. */
export const changeSchema = z.object({
  id: uuid,
  result: z.enum(["cancelled", "requested", "answered", "edited"]),
}).openapi("Change");

/** What came of retrying a task. */
export const retrySchema = z.object({
  id: uuid,
  result: z.enum(["retried", "due"]),
  new_id: uuid.nullable().openapi({
    description: "The new task's; null where the same one is due now",
  }),
}).openapi("Retry");

/** What chooses tasks to be changed. */
export const filterQuerySchema = z.object(filterFields);

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

/** Tasks to run again. */
export const retrySetSchema = z.strictObject({
  ...setSchema.shape,
  ...retryRequestSchema.shape,
  dependents: z.boolean().optional().openapi({
    description: "With those that failed, or were skipped, because of them",
  }),
}).openapi("RetryTasks");

/** Tasks to move. */
export const moveSchema = z.strictObject({
  ...setSchema.shape,
  to: z.enum(MOVE_TARGETS),
}).openapi("Move");

/** What came of moving them. */
export const movedSchema = z.object({
  results: z.array(
    z.enum(["moved", "begun", "ended", "unknown state", "missing"]),
  ).openapi({ description: "In the order of the ids" }),
}).openapi("Moved");

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

/** Tasks to approve. */
export const approvalSchema = z.strictObject({
  ...setSchema.shape,
  head: shortText.optional().openapi({
    description: "Only changes of which this is the last commit: what a " +
      "person has seen",
  }),
}).openapi("Approval");

/** What came of approving many. */
export const approvedSchema = z.object({
  results: z.array(z.enum(["approved", "not asked", "ended", "missing"]))
    .openapi({ description: "In the order of the ids" }),
}).openapi("Approved");

/** What came of a task's changes when no run is under way. */
export const amendmentSchema = z.strictObject({
  id: uuid,
  kind: z.enum(AMENDMENTS),
  detail: z.string().max(MAX_TEXT_CHARACTERS),
  workspace: z.strictObject({
    head: shortText,
    commits: count,
    files: count,
    insertions: count,
    deletions: count,
    merged: shortText,
    pullRequest: shortText,
  }).partial().optional().openapi({
    description: "What is to be changed of what came of its branch",
  }),
}).openapi("Amendment");

/** What came of noting it. */
export const amendedSchema = z.object({
  result: z.enum(["amended", "running", "missing", "unknown state"]),
}).openapi("Amended");

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
        "key taken",
        "unknown state",
      ]),
      other_id: uuid.optional().openapi({
        description: "The task that has the key",
      }),
    }),
  ])).openapi({ description: "In the order of the ids" }),
  ids: z.array(uuid).openapi({
    description: "Those that were asked for; then their dependents",
  }),
}).openapi("Retried");
