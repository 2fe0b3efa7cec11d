/**
 * Stepping in: cancelling, retrying and answering, of one task or of many at once.
 *
 * @module
 */

import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import type {
  AnswerResult,
  CancelResult,
  ChosenTask,
  EditResult,
  RetryRefusal,
  RetryResult,
} from "../../store/contract.ts";
import { type JsonObject, MAX_ANSWER_CHARACTERS } from "../../task/task.ts";
import {
  amendedSchema,
  amendmentSchema,
  answeredSchema,
  answerSchema,
  answerSetSchema,
  approvalSchema,
  approvedSchema,
  cancelledSchema,
  changeSchema,
  chosenSchema,
  filterQuerySchema,
  MAX_SET_TASKS,
  movedSchema,
  moveSchema,
  notedSchema,
  noteSchema,
  retriedSchema,
  retryRequestSchema,
  retrySchema,
  retrySetSchema,
  setSchema,
} from "./action_schemas.ts";
import { filterOf } from "./filter.ts";
import { jsonResponse, Problem } from "./responses.ts";
import {
  json,
  jsonBody,
  jsonRequest,
  MAX_BODY_BYTES,
  postRoute,
  problems,
  type Service,
} from "./routing.ts";
import { idParamSchema } from "./task_schemas.ts";

/** With an answer: JSON may take six bytes for a character. */
const MAX_BYTES = MAX_BODY_BYTES + 6 * MAX_ANSWER_CHARACTERS;

const cancelRoute = createRoute({
  method: "post",
  path: "/tasks/{id}/cancel",
  summary: "Cancel a task: at once, or within seconds where it is running",
  request: { params: idParamSchema },
  middleware: jsonBody(MAX_BODY_BYTES, { isOptional: true }),
  responses: {
    200: json(changeSchema, "Cancelled"),
    202: json(changeSchema, "Running; its runner stops it within seconds"),
    ...problems(400, 404, 409),
  },
});

const retryRoute = createRoute({
  method: "post",
  path: "/tasks/{id}/retry",
  summary:
    "Run a task again: an ended one as a new task, a waiting one at once",
  request: {
    params: idParamSchema,
    body: { ...jsonRequest(retryRequestSchema), required: false },
  },
  middleware: jsonBody(MAX_BYTES, { isOptional: true }),
  responses: {
    200: json(retrySchema, "Due now"),
    201: json(retrySchema, "A new task with the same content"),
    ...problems(400, 404, 409),
  },
});

const answerRoute = createRoute({
  method: "post",
  path: "/tasks/{id}/answer",
  summary: "Answer the question of a task that needs input",
  request: { params: idParamSchema, body: jsonRequest(answerSchema) },
  middleware: jsonBody(MAX_BYTES),
  responses: {
    200: json(changeSchema, "Answered; it goes on at its next claim"),
    ...problems(400, 404, 409, 413, 415, 422),
  },
});

const noteRoute = postRoute("/tasks/note", {
  summary: "Leave a note for the next attempt of a task that has not ended",
  body: noteSchema,
  reply: notedSchema,
  maxBytes: MAX_BYTES,
});

const cancellableRoute = createRoute({
  method: "get",
  path: "/tasks/cancellable",
  summary: "The tasks that could be cancelled: those that have not ended",
  request: { query: filterQuerySchema },
  responses: { 200: json(chosenSchema, "The tasks"), ...problems(400) },
});

const retryableRoute = createRoute({
  method: "get",
  path: "/tasks/retryable",
  summary: "The tasks that could be retried, and were not before",
  request: { query: filterQuerySchema },
  responses: { 200: json(chosenSchema, "The tasks"), ...problems(400) },
});

const cancelManyRoute = postRoute("/tasks/cancel", {
  summary: "Cancel many tasks",
  body: setSchema,
  reply: cancelledSchema,
});

const answerManyRoute = postRoute("/tasks/answer", {
  summary: "Give the same answer to many tasks that need input",
  body: answerSetSchema,
  reply: answeredSchema,
  maxBytes: MAX_BYTES,
});

const approveRoute = postRoute("/tasks/approve", {
  summary: "Approve what tasks ask for: their start, or their changes",
  body: approvalSchema,
  reply: approvedSchema,
});

const amendRoute = postRoute("/tasks/amend", {
  summary: "Note what came of a task's changes when no runner works on it",
  body: amendmentSchema,
  reply: amendedSchema,
});

const retryManyRoute = postRoute("/tasks/retry", {
  summary: "Run many tasks again",
  body: retrySetSchema,
  reply: retriedSchema,
  maxBytes: MAX_BYTES,
});

const moveRoute = postRoute("/tasks/move", {
  summary: "Have tasks run before, or after, all others of their provider " +
    "that have not begun",
  body: moveSchema,
  reply: movedSchema,
});

/** Why nothing was changed. */
const REFUSALS: {
  readonly [result in CancelResult | AnswerResult | EditResult]?: string;
} = {
  begun: "has begun",
  ended: "has ended already",
  missing: "is not there",
  "not asked": "has asked nothing",
  "unknown state": "has a state that only another program knows",
};

/** Why a task is not retried. */
const RETRY_REFUSALS: Readonly<Record<RetryRefusal, string>> = {
  missing: "is not there",
  created: "has not run yet",
  running: "is running",
  claimable: "waits for a runner, and is not held up by anything",
  needs_input: "waits for an answer",
  cancelling: "is being cancelled",
  "key taken": "has a key that another task has now",
  "unknown state": "has a state that only another program knows",
};

/** Adds the routes. Before those of single tasks, whose ids some look like. */
export function addActionRoutes(
  api: OpenAPIHono,
  { store: { admin } }: Service,
): void {
  api.openapi(cancelRoute, async (c) => {
    const { id } = c.req.valid("param");
    const [result] = await admin.cancel([id]);
    return changed(id, result);
  });

  api.openapi(answerRoute, async (c) => {
    const { id } = c.req.valid("param");
    const [result] = await admin.answer([id], c.req.valid("json").answer);
    return changed(id, result);
  });

  api.openapi(noteRoute, async (c) => {
    const { id, text } = c.req.valid("json");
    return jsonResponse({ result: await admin.note(id, text) });
  });

  api.openapi(approveRoute, async (c) => {
    const { ids, head } = c.req.valid("json");
    return jsonResponse({ results: await admin.approve(ids, { head }) });
  });

  api.openapi(amendRoute, async (c) => {
    const { id, ...amendment } = c.req.valid("json");
    return jsonResponse({ result: await admin.amend(id, amendment) });
  });

  api.openapi(moveRoute, async (c) => {
    const { ids, to } = c.req.valid("json");
    return jsonResponse({ results: await admin.move(distinct(ids), to) });
  });

  api.openapi(retryRoute, async (c) => {
    const { id } = c.req.valid("param");
    const { note } = c.req.valid("json");
    const [result] = await admin.retry([id], { note });
    if (!result || result.kind === "refused") {
      const { why = "missing", otherId } = result ?? {};
      const other = otherId ? `: ${otherId}` : "";
      throw refused(id, why, RETRY_REFUSALS[why] + other);
    }
    return result.kind === "due"
      ? jsonResponse({ id, result: "due", new_id: null })
      : jsonResponse({ id, result: "retried", new_id: result.newId }, {
        status: 201,
      });
  });

  api.openapi(cancellableRoute, async (c) => {
    const tasks = await admin.cancellable(filterOf(c.req.valid("query")));
    return jsonResponse(chosenToJson(tasks));
  });

  api.openapi(retryableRoute, async (c) => {
    const tasks = await admin.retryable(filterOf(c.req.valid("query")));
    return jsonResponse(chosenToJson(tasks));
  });

  api.openapi(cancelManyRoute, async (c) => {
    const { ids } = c.req.valid("json");
    return jsonResponse({ results: await admin.cancel(ids) });
  });

  api.openapi(answerManyRoute, async (c) => {
    const { ids, answer } = c.req.valid("json");
    return jsonResponse({ results: await admin.answer(ids, answer) });
  });

  api.openapi(retryManyRoute, async (c) => {
    const { ids: given, dependents = false, note } = c.req.valid("json");
    const chosen = distinct(given);
    const behind = dependents ? await admin.dependents(chosen) : [];
    const ids = [...chosen, ...behind];
    if (ids.length > MAX_SET_TASKS) {
      throw new Problem(
        422,
        `Cannot retry ${ids.length} tasks at once: with their dependents, there ` +
          `may be ${MAX_SET_TASKS}. Send fewer ids.`,
      );
    }
    const results = await admin.retry(ids, { note });
    return jsonResponse({ ids, results: results.map(retriedToJson) });
  });
}

/** What was changed; a problem where it was not. */
export function changed(
  id: string,
  result: CancelResult | AnswerResult | EditResult = "missing",
) {
  const why = REFUSALS[result];
  if (why !== undefined) throw refused(id, result, why);
  return jsonResponse({ id, result }, {
    status: result === "requested" ? 202 : 200,
  });
}

function refused(id: string, reason: string, why: string): Problem {
  const options = { reason, taskId: id };
  return reason === "missing"
    ? new Problem(404, `There is no task ${id}.`, options)
    : new Problem(409, `Task ${id} ${why}.`, options);
}

function chosenToJson(tasks: readonly ChosenTask[]): JsonObject {
  return {
    count: tasks.length,
    tasks: tasks.map(({ id, state }) => ({ id, state })),
  };
}

/** No task is made anew twice by one request. */
function distinct(ids: readonly string[]): string[] {
  const lower = ids.map((id) => id.toLowerCase());
  if (new Set(lower).size === lower.length) return lower;
  throw new Problem(422, "One of the ids is there twice.");
}

function retriedToJson(result: RetryResult): JsonObject {
  switch (result.kind) {
    case "created":
      return {
        result: "created",
        new_id: result.newId,
        earlier_id: result.earlierId,
      };
    case "due":
      return { result: "due" };
    default:
      return {
        result: "refused",
        reason: result.why,
        ...result.otherId !== undefined && { other_id: result.otherId },
      };
  }
}
