/**
 * Finding tasks, and looking at them.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, type z } from "@hono/zod-openapi";
import { UsageError } from "../../base/errors.ts";
import type { Admin, PageOptions, TaskPage } from "../../store/contract.ts";
import { eventToJson, taskToJson } from "../../task/json.ts";
import { fractionOf } from "../../task/progress.ts";
import type { AgentTask, JsonObject, JsonValue } from "../../task/task.ts";
import { parseTrace } from "../../task/trace.ts";
import { filterOf } from "./filter.ts";
import { jsonResponse, Problem, wrongPlace } from "./responses.ts";
import { json, problems, type Service } from "./routing.ts";
import {
  eventsSchema,
  idParamSchema,
  listQuerySchema,
  MAX_PAGE_TASKS,
  pageSchema,
  taskSchema,
  wholePageSchema,
  wholeQuerySchema,
} from "./task_schemas.ts";

/** The most characters of a text of the trace in a list. */
const MAX_LENGTH = 500;

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
  responses: { 200: json(wholePageSchema, "The tasks"), ...problems(400) },
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
  const { store: { admin }, reads } = service;

  api.openapi(listRoute, async (c) => {
    const query = c.req.valid("query");
    const page = await reads.get(
      c.req.url,
      () => readPage(admin, pageOptions(query)),
    );
    return jsonResponse(pageToJson(page, listedToJson));
  });

  api.openapi(wholeRoute, async (c) => {
    const { id, brief, offset, ...query } = c.req.valid("query");
    const { limit } = query;
    if (id !== undefined) {
      const tasks = await admin.find(id, limit);
      const page = { tasks, total: tasks.length, next: undefined };
      return jsonResponse(pageToJson(page, taskToJson));
    }
    const options = { ...pageOptions(query), isWhole: brief === "false" };
    // Not kept for others: they may be large.
    const page = await readPage(admin, await skipped(admin, options, offset));
    return jsonResponse(pageToJson(page, taskToJson));
  });

  api.openapi(getRoute, async (c) => {
    const { id } = c.req.valid("param");
    return jsonResponse(taskToJson(await found(service, id)));
  });

  api.openapi(eventsRoute, async (c) => {
    const { id } = c.req.valid("param");
    const events = await reads.get(c.req.url, () => admin.history(id));
    if (events.length === 0) await found(service, id);
    return jsonResponse({ events: events.map(eventToJson) });
  });
}

/** The task; a problem where there is none. */
export async function found(
  { store: { admin }, reads }: Service,
  id: string,
): Promise<AgentTask> {
  const task = await reads.get(`task ${id.toLowerCase()}`, () => admin.get(id));
  if (task) return task;
  throw new Problem(404, `There is no task ${id}.`, {
    reason: "missing",
    taskId: id,
  });
}

function pageOptions(query: z.output<typeof listQuerySchema>): PageOptions {
  const { limit, cursor } = query;
  return { ...filterOf(query), limit, after: cursor };
}

async function readPage(
  admin: Admin,
  options: PageOptions | undefined,
): Promise<TaskPage> {
  if (!options) return { tasks: [], next: undefined, total: 0 };
  try {
    return await admin.page(options);
  } catch (error) {
    // Its cursor is the only thing that may still be wrong with it.
    if (!(error instanceof UsageError)) throw error;
    throw wrongPlace("query.cursor");
  }
}

/** Options for the page after so many more; undefined where there are none. */
async function skipped(
  admin: Admin,
  options: PageOptions,
  offset: number,
): Promise<PageOptions | undefined> {
  let after = options.after;
  for (let rest = offset; rest > 0; rest -= MAX_PAGE_TASKS) {
    const limit = Math.min(rest, MAX_PAGE_TASKS);
    const page = { ...options, isWhole: false, limit, after };
    after = (await readPage(admin, page)).next;
    if (after === undefined) return undefined;
  }
  return { ...options, after };
}

function pageToJson(
  { tasks, total, next }: TaskPage,
  toJson: (task: AgentTask) => JsonObject,
): JsonObject {
  return { tasks: tasks.map(toJson), total, next_cursor: next ?? null };
}

/** A task in a list: of its trace, only what a person looks for first. */
function listedToJson(task: AgentTask): JsonObject {
  const { trace: _, ...rest } = taskToJson(task);
  const trace = parseTrace(task.traceText);
  const { progress, error, question } = trace ?? {};
  return {
    ...rest,
    progress: textOf(progress),
    progress_fraction: fractionOf(trace) ?? null,
    error: task.state === "failed" ? textOf(error) : null,
    question: textOf(question),
  };
}

function textOf(value: JsonValue | undefined): string | null {
  return typeof value === "string" ? value.slice(0, MAX_LENGTH) : null;
}
