/**
 * Creating and finding tasks.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { DuplicateIdError } from "../../base/errors.ts";
import { newTaskOf } from "../../task/new_task.ts";
import { taskToJson } from "../../cli/render.ts";
import type { AgentTask, JsonValue, NewTask } from "../../task/task.ts";
import { parseTrace } from "../../task/trace.ts";
import { answer } from "./answer.ts";
import { jsonBody } from "./body.ts";
import { formatCursor } from "./cursor.ts";
import { wholeQuerySchema, wholeTasksSchema } from "./admin_schemas.ts";
import { json, jsonRequest, problems } from "./documented.ts";
import { DIGEST_KEY, digestOf, withKey } from "./idempotency.ts";
import { Problem } from "./problem.ts";
import {
  batchSchema,
  createdSchema,
  eventsSchema,
  idParamSchema,
  listQuerySchema,
  MAX_BATCH_BYTES,
  newTaskSchema,
  pageSchema,
  taskSchema,
} from "./schemas.ts";
import type { Service } from "./context.ts";
import { listedTaskToJson, taskEventToJson } from "./task_json.ts";

const MAX_BODY_BYTES = 1024 ** 2;

const headers = z.object({
  "idempotency-key": z.string().min(1).max(255).optional().openapi({
    description: "The same key creates the same task once, however often " +
      "it is asked for. With another body it is refused",
  }),
  traceparent: z.string().max(200).optional().openapi({
    description: "W3C Trace Context: the task's runs continue this trace",
  }),
});

const listRoute = createRoute({
  method: "get",
  path: "/tasks",
  summary: "List tasks, newest first",
  request: { query: listQuerySchema },
  responses: { 200: json(pageSchema, "A page of tasks"), ...problems(400) },
});

const wholeRoute = createRoute({
  method: "get",
  path: "/tasks/whole",
  summary: "Tasks with their whole instructions and traces, newest first",
  request: { query: wholeQuerySchema },
  responses: { 200: json(wholeTasksSchema, "The tasks"), ...problems(400) },
});

const createTaskRoute = createRoute({
  method: "post",
  path: "/tasks",
  summary: "Create a task",
  request: { headers, body: jsonRequest(newTaskSchema) },
  responses: {
    201: json(taskSchema, "Created"),
    200: json(taskSchema, "Created before with this Idempotency-Key"),
    ...problems(409, 413, 415, 422),
  },
});

const createBatchRoute = createRoute({
  method: "post",
  path: "/tasks/batch",
  summary: "Create many tasks, all or none",
  request: { headers, body: jsonRequest(batchSchema) },
  responses: {
    201: json(createdSchema, "Created"),
    200: json(createdSchema, "Created before with this Idempotency-Key"),
    ...problems(409, 413, 415, 422),
  },
});

const getRoute = createRoute({
  method: "get",
  path: "/tasks/{id}",
  summary: "A task with its trace",
  request: { params: idParamSchema },
  responses: { 200: json(taskSchema, "The task"), ...problems(400, 404) },
});

const eventsRoute = createRoute({
  method: "get",
  path: "/tasks/{id}/events",
  summary: "A task's history, oldest first",
  request: { params: idParamSchema },
  responses: { 200: json(eventsSchema, "Its history"), ...problems(400, 404) },
});

/** Adds the routes. */
export function addTaskRoutes(api: OpenAPIHono, service: Service): void {
  const { store, reads } = service;
  api.use(createTaskRoute.getRoutingPath(), jsonBody(MAX_BODY_BYTES));
  api.use(createBatchRoute.getRoutingPath(), jsonBody(MAX_BATCH_BYTES));

  api.openapi(listRoute, async (c) => {
    const { state, provider, q, limit, cursor } = c.req.valid("query");
    const page = await reads.get(c.req.url, () =>
      store.feed.page({
        states: state,
        provider,
        text: q?.trim() || undefined,
        limit,
        after: cursor,
      }));
    return answer({
      tasks: page.tasks.map(listedTaskToJson),
      total: page.total,
      next_cursor: page.next ? formatCursor(page.next) : null,
    });
  });

  api.openapi(wholeRoute, async (c) => {
    const { id, state, provider, limit, offset } = c.req.valid("query");
    // Not kept for others: they may be large.
    const tasks = id === undefined
      ? await store.list({ states: state, provider, limit, offset })
      : await store.findByPrefix(id, limit);
    return answer({ tasks: tasks.map(taskToJson) });
  });

  api.openapi(createTaskRoute, async (c) => {
    const body = c.req.valid("json");
    const { isNew, ids: [id = ""] } = await createOnce(
      service,
      [await newTaskOf(body)],
      { ...c.req.valid("header"), body: body as JsonValue },
    );
    return answer(taskToJson(await found(service, id)), {
      status: isNew ? 201 : 200,
      headers: { Location: `/api/v1/tasks/${id}` },
    });
  });

  api.openapi(createBatchRoute, async (c) => {
    const body = c.req.valid("json");
    const tasks: NewTask[] = [];
    for (const task of body.tasks) tasks.push(await newTaskOf(task));
    const { isNew, ids } = await createOnce(service, tasks, {
      ...c.req.valid("header"),
      body: body as JsonValue,
    });
    return answer({ count: ids.length, ids: [...ids] }, {
      status: isNew ? 201 : 200,
    });
  });

  api.openapi(getRoute, async (c) => {
    const { id } = c.req.valid("param");
    return answer(taskToJson(await found(service, id)));
  });

  api.openapi(eventsRoute, async (c) => {
    const { id } = c.req.valid("param");
    const events = await reads.get(c.req.url, () => store.events(id));
    if (events.length === 0) await found(service, id);
    return answer({ events: events.map(taskEventToJson) });
  });
}

/** The task; a problem where there is none. */
export async function found(
  { store, reads }: Service,
  id: string,
): Promise<AgentTask> {
  const task = await reads.get(`task ${id.toLowerCase()}`, () => store.get(id));
  if (task) return task;
  throw new Problem(404, `There is no task ${id}.`, {
    reason: "missing",
    taskId: id,
  });
}

interface CreateRequest {
  readonly "idempotency-key"?: string;
  readonly traceparent?: string;
  readonly body: JsonValue;
}

async function createOnce(
  { store, clock }: Service,
  given: readonly NewTask[],
  { "idempotency-key": key, traceparent, body }: CreateRequest,
): Promise<{ readonly isNew: boolean; readonly ids: readonly string[] }> {
  const seen = new Set<string>();
  const twin = given.find(({ id }) =>
    id !== undefined && seen.size === seen.add(id).size
  )?.id;
  if (twin !== undefined) {
    throw new Problem(422, `Two of the tasks have the id ${twin}.`);
  }
  const digest = await digestOf(body);
  const keyed = key === undefined
    ? given
    : await withKey(given, { key, digest });
  const tasks = traceparent === undefined
    ? keyed
    : keyed.map((task) => ({ ...task, trace: { traceparent, ...task.trace } }));
  try {
    const ids = await store.create(tasks, clock.now());
    store.feed.announceChange();
    return { isNew: true, ids };
  } catch (error) {
    if (!(error instanceof DuplicateIdError)) throw error;
    const known = key === undefined ? undefined : await store.get(error.id);
    if (parseTrace(known?.traceText ?? null)?.[DIGEST_KEY] !== digest) {
      // An id that was given says nothing about the key.
      if (key === undefined || given.some(({ id }) => id === error.id)) {
        throw new Problem(409, error.message, {
          reason: "duplicate id",
          taskId: error.id,
        });
      }
      throw new Problem(
        422,
        "This Idempotency-Key was used before for something else.",
      );
    }
    // All or none: where one of them is there, all are.
    return { isNew: false, ids: tasks.map(({ id = "" }) => id) };
  }
}
