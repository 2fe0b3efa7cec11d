/**
 * Many tasks at once: those that could be changed, and changing them.
 *
 * @module
 */

import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { type JsonObject, MAX_ANSWER_CHARACTERS } from "../../task/task.ts";
import type {
  ChosenTask,
  RetryResult,
  TaskFilter,
} from "../../store/task_sets.ts";
import { answer } from "./answer.ts";
import { jsonBody } from "./body.ts";
import {
  answeredSchema,
  answerSetSchema,
  cancelledSchema,
  chooseQuerySchema,
  chosenSchema,
  retriedSchema,
  setSchema,
} from "./admin_schemas.ts";
import { json, jsonRequest, problems } from "./documented.ts";
import { Problem } from "./problem.ts";
import type { Service } from "./context.ts";

const MAX_BODY_BYTES = 1024 ** 2;
/** Beside the ids; JSON may take six bytes for a character. */
const MAX_ANSWER_BYTES = 6 * MAX_ANSWER_CHARACTERS;

const openRoute = createRoute({
  method: "get",
  path: "/tasks/cancellable",
  summary: "The tasks that could be cancelled: those that have not ended",
  request: { query: chooseQuerySchema },
  responses: { 200: json(chosenSchema, "The tasks"), ...problems(400) },
});

const retryableRoute = createRoute({
  method: "get",
  path: "/tasks/retryable",
  summary: "The tasks that could be retried, and were not before",
  request: { query: chooseQuerySchema },
  responses: { 200: json(chosenSchema, "The tasks"), ...problems(400) },
});

const cancelRoute = createRoute({
  method: "post",
  path: "/tasks/cancel",
  summary: "Cancel many tasks",
  request: { body: jsonRequest(setSchema) },
  responses: {
    200: json(cancelledSchema, "What came of each"),
    ...problems(400, 413, 415, 422),
  },
});

const answerRoute = createRoute({
  method: "post",
  path: "/tasks/answer",
  summary: "Give the same answer to many tasks that need input",
  request: { body: jsonRequest(answerSetSchema) },
  responses: {
    200: json(answeredSchema, "What came of each"),
    ...problems(400, 413, 415, 422),
  },
});

const retryRoute = createRoute({
  method: "post",
  path: "/tasks/retry",
  summary: "Run many tasks again",
  request: { body: jsonRequest(setSchema) },
  responses: {
    200: json(retriedSchema, "What came of each"),
    ...problems(400, 413, 415, 422),
  },
});

/** Adds the routes. Before those of single tasks, whose ids they look like. */
export function addSetRoutes(
  api: OpenAPIHono,
  { store, clock }: Service,
): void {
  for (const route of [cancelRoute, retryRoute]) {
    api.use(route.getRoutingPath(), jsonBody(MAX_BODY_BYTES));
  }
  api.use(
    answerRoute.getRoutingPath(),
    jsonBody(MAX_BODY_BYTES + MAX_ANSWER_BYTES),
  );

  api.openapi(openRoute, async (c) => {
    const filter = filterOf(c.req.valid("query"));
    return answer(chosenToJson(await store.sets.findOpen(filter)));
  });

  api.openapi(retryableRoute, async (c) => {
    const filter = filterOf(c.req.valid("query"));
    return answer(
      chosenToJson(await store.sets.findRetryable(filter, clock.now())),
    );
  });

  api.openapi(cancelRoute, async (c) => {
    const ids = distinct(c.req.valid("json").ids);
    const results = await store.sets.cancel(ids, clock.now());
    store.feed.announceChange();
    return answer({ results });
  });

  api.openapi(answerRoute, async (c) => {
    const { ids, answer: text } = c.req.valid("json");
    const results = await store.sets.answer(distinct(ids), text, clock.now());
    store.feed.announceChange();
    return answer({ results });
  });

  api.openapi(retryRoute, async (c) => {
    const ids = distinct(c.req.valid("json").ids);
    const results = await store.sets.retry(ids, clock.now());
    store.feed.announceChange();
    return answer({ results: results.map(retriedToJson) });
  });
}

/** What the query says of states is a list by now. */
function filterOf(
  { state, provider }: {
    readonly state?: TaskFilter["states"];
    readonly provider?: string;
  },
): TaskFilter {
  return { states: state, provider };
}

function chosenToJson(tasks: readonly ChosenTask[]): JsonObject {
  return {
    count: tasks.length,
    tasks: tasks.map(({ id, state }) => ({ id, state })),
  };
}

/** No task is changed twice by one request. */
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
      return { result: "refused", reason: result.why };
  }
}
