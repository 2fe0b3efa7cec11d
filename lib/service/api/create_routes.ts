/**
 * Creating tasks; with an `Idempotency-Key` once, however often that is asked for:
 * the key decides the task's id, and the trace has a digest of what was asked for.
 * So nothing else is kept, and it holds for as long as the task is there.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { generate as uuidV5 } from "@std/uuid/v5";
import { DuplicateIdError } from "../../base/errors.ts";
import {
  type Admin,
  IdList,
  type KeyResult,
  newTasks,
} from "../../store/contract.ts";
import { taskToJson } from "../../task/json.ts";
import { newTaskOf } from "../../task/new_task.ts";
import type { JsonValue, NewTask } from "../../task/task.ts";
import { parseTrace, stringifyJson } from "../../task/trace.ts";
import { jsonResponse, Problem } from "./responses.ts";
import {
  json,
  jsonBody,
  jsonRequest,
  MAX_BODY_BYTES,
  problems,
  type Service,
} from "./routing.ts";
import { found } from "./task_routes.ts";
import {
  batchSchema,
  createdSchema,
  createdTaskSchema,
  MAX_BATCH_BYTES,
  newTaskSchema,
} from "./task_schemas.ts";

const MOST_WARNINGS = 10;

/** Where the trace has the digest. */
const DIGEST_KEY = "request_digest";

/** Of this project alone: ids of other makers can't be met. */
const NAMESPACE = "c8f1f0a2-6d0e-5f5b-9d39-6a0b1a4b5c7e";

const headers = z.object({
  "idempotency-key": z.string().min(1).max(255).optional().openapi({
    description: "The same key creates the same task once, however often " +
      "it is asked for. With another body it is refused",
  }),
  traceparent: z.string().max(200).optional().openapi({
    description: "W3C Trace Context: the task's runs continue this trace",
  }),
});

const BEFORE = "Created before with this Idempotency-Key";

const createTaskRoute = createRoute({
  method: "post",
  path: "/tasks",
  summary: "Create a task",
  request: { headers, body: jsonRequest(newTaskSchema) },
  middleware: jsonBody(MAX_BODY_BYTES),
  responses: {
    201: json(createdTaskSchema, "Created"),
    200: json(createdTaskSchema, `${BEFORE}, or there with its key`),
    ...problems(409, 413, 415, 422),
  },
});

const createBatchRoute = createRoute({
  method: "post",
  path: "/tasks/batch",
  summary: "Create many tasks, all or none",
  request: { headers, body: jsonRequest(batchSchema) },
  middleware: jsonBody(MAX_BATCH_BYTES),
  responses: {
    201: json(createdSchema, "Created"),
    200: json(createdSchema, `${BEFORE}, or all there with their keys`),
    ...problems(409, 413, 415, 422),
  },
});

/** Adds the routes. */
export function addCreateRoutes(api: OpenAPIHono, service: Service): void {
  const { served } = service;
  const warningsOf = (tasks: readonly NewTask[]) =>
    [...new Set(tasks.map(({ provider }) => provider))]
      .flatMap((provider) => served.warningFor(provider) ?? [])
      .slice(0, MOST_WARNINGS);

  api.openapi(createTaskRoute, async (c) => {
    const body = c.req.valid("json");
    const task = await newTaskOf(body, served.defaultProvider);
    const { isNew, list } = await createOnce(
      service,
      [task],
      { ...c.req.valid("header"), body: body as JsonValue },
    );
    const [id = ""] = [...list.sets()].flat();
    const known = list.known.get(0);
    const created = {
      ...taskToJson(await found(service, id)),
      ...known && { [known]: true },
      warnings: warningsOf([task]),
    };
    return jsonResponse(created, {
      status: isNew ? 201 : 200,
      headers: { Location: `/api/v1/tasks/${id}` },
    });
  });

  api.openapi(createBatchRoute, async (c) => {
    const body = c.req.valid("json");
    const tasks: NewTask[] = [];
    for (const task of body.tasks) {
      tasks.push(await newTaskOf(task, served.defaultProvider));
    }
    const { isNew, list } = await createOnce(service, tasks, {
      ...c.req.valid("header"),
      body: body as JsonValue,
    });
    const places = (result: KeyResult) =>
      [...list.known].flatMap(([place, it]) => it === result ? place : []);
    const created = {
      count: list.length,
      ids: [...list.sets()].flat(),
      existing: places("existing"),
      replaced: places("replaced"),
      warnings: warningsOf(tasks),
    };
    return jsonResponse(created, { status: isNew ? 201 : 200 });
  });
}

interface CreateRequest {
  readonly "idempotency-key"?: string;
  readonly traceparent?: string;
  readonly body: JsonValue;
}

async function createOnce(
  { store: { admin }, reads }: Service,
  given: readonly NewTask[],
  { "idempotency-key": key, traceparent, body }: CreateRequest,
): Promise<{ readonly isNew: boolean; readonly list: IdList }> {
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
    const list = await admin.create(newTasks(tasks));
    // What was created is read in a moment, through it.
    reads.changed();
    return { isNew: list.known.size < list.length, list };
  } catch (error) {
    if (!(error instanceof DuplicateIdError)) throw error;
    const known = key === undefined ? undefined : await admin.get(error.id);
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
    return { isNew: false, list: await createdBefore(admin, tasks) };
  }
}

/**
 * All or none: where one of them is there, all are, but for those whose key another
 * task had. Those are asked for again.
 */
async function createdBefore(
  admin: Admin,
  tasks: readonly NewTask[],
): Promise<IdList> {
  const there = await Promise.all(
    tasks.map(async ({ id = "", key }) => !key || await admin.get(id)),
  );
  const idOfKey = new Map(
    tasks.flatMap(({ id = "", key }, index) =>
      key && there[index] ? [[key, id]] : []
    ),
  );
  const isOther = ({ key }: NewTask, index: number) =>
    !there[index] && !idOfKey.has(key ?? "");
  const others = tasks.filter(isOther);
  const found = others.length > 0
    ? [...(await admin.create(newTasks(others))).sets()].flat()
    : [];
  const ids = tasks.map((task, index) => {
    const { id = "", key } = task;
    if (isOther(task, index)) return found.shift() ?? "";
    return there[index] ? id : idOfKey.get(key ?? "") ?? "";
  });
  const list = new IdList();
  list.add(
    ids,
    tasks.flatMap(({ id }, index) =>
      id === ids[index] ? [] : [[index, "existing"] as const]
    ),
  );
  return list;
}

/** The SHA-256 of a request's body, in hexadecimal digits. */
async function digestOf(body: JsonValue): Promise<string> {
  const bytes = new TextEncoder().encode(stringifyJson(body));
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return hash.toHex();
}

/** Gives tasks the ids that a key stands for; one that has an id keeps it. */
async function withKey(
  tasks: readonly NewTask[],
  { key, digest }: { readonly key: string; readonly digest: string },
): Promise<NewTask[]> {
  return await Promise.all(tasks.map(async (task, index): Promise<NewTask> => {
    const name = `${task.userId}\n${index}\n${key}`;
    return {
      ...task,
      id: task.id ?? await uuidV5(NAMESPACE, new TextEncoder().encode(name)),
      trace: { ...task.trace, [DIGEST_KEY]: digest },
    };
  }));
}
