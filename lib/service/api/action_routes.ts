/**
 * Stepping in: cancelling, retrying and answering.
 *
 * @module
 */

import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { answer } from "./answer.ts";
import { jsonBody } from "./body.ts";
import { json, jsonRequest, problems } from "./documented.ts";
import { Problem } from "./problem.ts";
import {
  answerSchema,
  changeSchema,
  idParamSchema,
  retrySchema,
} from "./schemas.ts";
import { MAX_ANSWER_CHARACTERS } from "../../task/task.ts";
import type { RetryRefusal } from "../../store/task_sets.ts";
import type { Service } from "./context.ts";

const MAX_BODY_BYTES = 1024 ** 2;
/** JSON may take six bytes for a character. */
const MAX_ANSWER_BYTES = 6 * MAX_ANSWER_CHARACTERS + 1_024;

const cancelRoute = createRoute({
  method: "post",
  path: "/tasks/{id}/cancel",
  summary: "Cancel a task: at once, or within seconds where it is running",
  request: { params: idParamSchema },
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
  request: { params: idParamSchema },
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
  responses: {
    200: json(changeSchema, "Answered; it goes on at its next claim"),
    ...problems(400, 404, 409, 413, 415, 422),
  },
});

/** Why nothing was changed. */
const REFUSALS: Readonly<Record<string, string>> = {
  ended: "has ended already",
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
  "unknown state": "has a state that only another program knows",
};

/** Adds the routes. */
export function addActionRoutes(
  api: OpenAPIHono,
  { store, clock }: Service,
): void {
  const isOptional = true;
  for (const route of [cancelRoute, retryRoute]) {
    api.use(route.getRoutingPath(), jsonBody(MAX_BODY_BYTES, { isOptional }));
  }
  api.use(answerRoute.getRoutingPath(), jsonBody(MAX_ANSWER_BYTES));

  /** The answer where a task was changed; a problem where it was not. */
  function changed(id: string, result: string) {
    const problem = { reason: result, taskId: id };
    if (result === "missing") {
      throw new Problem(404, `There is no task ${id}.`, problem);
    }
    const refusal = REFUSALS[result];
    if (refusal) throw new Problem(409, `Task ${id} ${refusal}.`, problem);
    store.feed.announceChange();
    return answer({ id, result }, {
      status: result === "requested" ? 202 : 200,
    });
  }

  api.openapi(cancelRoute, async (c) => {
    const { id } = c.req.valid("param");
    return changed(id, await store.cancel(id, clock.now()));
  });

  api.openapi(retryRoute, async (c) => {
    const { id } = c.req.valid("param");
    const [result] = await store.sets.retry([id], clock.now());
    if (!result || result.kind === "refused") {
      const why = result?.why ?? "missing";
      const status = why === "missing" ? 404 : 409;
      throw new Problem(status, `Task ${id} ${RETRY_REFUSALS[why]}.`, {
        reason: why,
        taskId: id,
      });
    }
    store.feed.announceChange();
    return result.kind === "due"
      ? answer({ id, result: "due", new_id: null })
      : answer({ id, result: "retried", new_id: result.newId }, {
        status: 201,
      });
  });

  api.openapi(answerRoute, async (c) => {
    const { id } = c.req.valid("param");
    const { answer } = c.req.valid("json");
    return changed(id, await store.answer(id, answer, clock.now()));
  });
}
