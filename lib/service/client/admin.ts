/**
 * Tasks behind a service's address.
 *
 * @module
 */

import type { z } from "@hono/zod-openapi";
import { DatabaseError, UsageError } from "../../base/errors.ts";
import {
  type Admin,
  type Bucket,
  inSets,
  type RetryResult,
  type ScheduleAdmin,
  type ShownTask,
  type TaskFilter,
  type Times,
} from "../../store/contract.ts";
import {
  editToJson,
  eventFromJson,
  taskFromJson,
  timeFromJson,
  traceFromJson,
} from "../../task/json.ts";
import type { AgentTask, TaskState } from "../../task/task.ts";
import {
  amendedSchema,
  answeredSchema,
  approvedSchema,
  cancelledSchema,
  changeSchema,
  chosenSchema,
  MAX_SET_TASKS,
  movedSchema,
  notedSchema,
  retriedSchema,
} from "../api/action_schemas.ts";
import { batchesSchema, batchFromJson, MAX_BATCHES } from "../batch_json.ts";
import { queryOf } from "../api/filter.ts";
import { dependentsSchema, graphFromJson, graphSchema } from "../graph_json.ts";
import { logPageFromJson, logPageSchema, MAX_PAGE_LINES } from "../log_json.ts";
import {
  drainedSchema,
  MAX_SET_RUNNERS,
  runnerFromJson,
  runnersSchema,
} from "../runner_json.ts";
import {
  countsSchema,
  figuresSchema,
  overviewSchema,
  prunableSchema,
  prunedSchema,
  REFUSED,
  ROWS_HEADER,
} from "../api/stats_schemas.ts";
import {
  eventsSchema,
  MAX_PAGE_TASKS,
  sessionSchema,
  taskSchema,
  wholePageSchema,
} from "../api/task_schemas.ts";
import {
  pauseFromJson,
  pausesSchema,
  resumedSchema,
  targetToJson,
} from "../pause_json.ts";
import { changesFromJson, changesSchema } from "../diff_json.ts";
import type { Changes } from "../../workspaces/diff.ts";
import { Api, type ApiOptions, type ApiRequest, Refusal } from "./api.ts";
import { createTasks } from "./create.ts";
import { serviceSchedules } from "./schedules.ts";

/**
 * Opens the tasks behind a service.
 *
 * @throws {ServiceError} where there is no service of agent-runner.
 * @throws {UsageError} where it does not know the token.
 */
export async function openServiceAdmin(
  options: ServiceAdminOptions,
): Promise<
  {
    readonly admin: Admin & Disposable;
    readonly schedules: ScheduleAdmin;
    readonly defaultProvider: string;
    readonly changes: (id: string) => Promise<Changes>;
  }
> {
  using opening = new DisposableStack();
  const api = opening.use(new Api(options));
  const session = await api.json("api/v1/session", sessionSchema);
  if (!session.authorized) throw api.unauthorized();
  opening.move();
  return {
    admin: serviceAdmin(api, options),
    schedules: serviceSchedules(api),
    defaultProvider: session.default_provider,
    changes: async (id) =>
      changesFromJson(await api.json(pathOf(id, "diff"), changesSchema)),
  };
}

/** Options for {@linkcode openServiceAdmin}. */
export interface ServiceAdminOptions extends ApiOptions {
  /** Called with what the service says of what it did. */
  readonly onWarning: (message: string) => void;
}

/** An {@linkcode Admin} behind a service. */
function serviceAdmin(
  api: Api,
  options: ServiceAdminOptions,
): Admin & Disposable {
  /** As many requests as it takes. */
  const change = <T>(
    path: string,
    schema: z.ZodType<{ results: T[] }>,
    { ids, ...rest }: {
      readonly ids: readonly string[];
      readonly answer?: string;
      readonly note?: string | undefined;
      readonly head?: string | undefined;
    },
  ): Promise<T[]> =>
    inSets(ids, MAX_SET_TASKS, async (set) => {
      const body = { ids: set, ...rest };
      return (await api.json(path, schema, { body })).results;
    });

  const choose = async (path: string, filter: TaskFilter) => {
    const query = queryOf(filter);
    const { tasks } = await api.json(path, chosenSchema, { query });
    return tasks.map(withState);
  };

  const whole = (query: ApiRequest["query"]) =>
    api.json("api/v1/tasks/whole", wholePageSchema, { query });

  return {
    [Symbol.dispose]: () => api[Symbol.dispose](),

    create: (tasks) => createTasks(api, tasks, options),

    async get(id) {
      const task = await unlessMissing(api.json(pathOf(id), taskSchema));
      return task && taskFromJson(task);
    },

    async find(prefix, limit) {
      // No id is longer, and none has anything else in it.
      if (!/^[0-9a-f-]{1,36}$/i.test(prefix)) return [];
      const { tasks } = await whole({ id: prefix, limit });
      return tasks.map(taskFromJson);
    },

    async page(options) {
      const { limit, isWhole = false } = options;
      const query = { ...queryOf(options), brief: !isWhole };
      const tasks: AgentTask[] = [];
      let next = options.after;
      let total: number | undefined;
      do {
        const rest = Math.min(MAX_PAGE_TASKS, limit - tasks.length);
        const page = await whole({ ...query, limit: rest, cursor: next });
        for (const task of page.tasks) tasks.push(taskFromJson(task));
        total ??= page.total;
        next = page.next_cursor ?? undefined;
      } while (next !== undefined && tasks.length < limit);
      return { tasks, next, total };
    },

    async count() {
      const counts = await api.json("api/v1/stats/counts", countsSchema);
      return {
        counts: counts.tasks.map(withState),
        waiting: counts.waiting,
        waitingSince: timeFromJson(counts.waiting_since),
        inFlight: counts.in_flight,
        at: new Date(counts.as_of),
      };
    },

    async batches({ name, limit }) {
      const query = { name, limit: Math.min(limit, MAX_BATCHES) };
      const found = await api.json("api/v1/batches", batchesSchema, { query });
      return found.batches.map(batchFromJson);
    },

    async history(taskId) {
      const path = pathOf(taskId, "events");
      const found = await unlessMissing(api.json(path, eventsSchema));
      return found?.events.map(eventFromJson) ?? [];
    },

    async logs({ taskId, limit, attempt, after }) {
      const query = { attempt, after, limit: Math.min(limit, MAX_PAGE_LINES) };
      const page = await unlessMissing(
        api.json(pathOf(taskId, "logs"), logPageSchema, { query }),
      );
      return page ? logPageFromJson(page) : {
        attempt: attempt ?? null,
        attempts: [],
        entries: [],
        next: undefined,
        hasMore: false,
        isOver: true,
        hasEnded: true,
      };
    },

    cancellable: (filter) => choose("api/v1/tasks/cancellable", filter),

    retryable: (filter) => choose("api/v1/tasks/retryable", filter),

    cancel: (ids) => change("api/v1/tasks/cancel", cancelledSchema, { ids }),

    answer: (ids, answer) =>
      change("api/v1/tasks/answer", answeredSchema, { ids, answer }),

    approve: (ids, { head } = {}) =>
      change("api/v1/tasks/approve", approvedSchema, { ids, head }),

    async amend(id, amendment) {
      const request = { body: { id, ...amendment } };
      return (await api.json("api/v1/tasks/amend", amendedSchema, request))
        .result;
    },

    async note(id, text) {
      const request = { body: { id, text } };
      return (await api.json("api/v1/tasks/note", notedSchema, request)).result;
    },

    async retry(ids, { note } = {}) {
      const path = "api/v1/tasks/retry";
      const results = await change(path, retriedSchema, { ids, note });
      return results.map((it): RetryResult =>
        it.result === "created"
          ? { kind: "created", newId: it.new_id, earlierId: it.earlier_id }
          : it.result === "due"
          ? { kind: "due" }
          : {
            kind: "refused",
            why: it.reason,
            ...it.other_id !== undefined && { otherId: it.other_id },
          }
      );
    },

    async dependents(ids) {
      const found = await inSets(ids, MAX_SET_TASKS, async (set) => {
        const request = { body: { ids: set } };
        const path = "api/v1/tasks/dependents";
        return (await api.json(path, dependentsSchema, request)).ids;
      });
      const given = new Set(ids);
      return [...new Set(found)].filter((id) => !given.has(id));
    },

    async graph(id, { limit }) {
      const found = await unlessMissing(
        api.json(pathOf(id, "graph"), graphSchema, { query: { limit } }),
      );
      return found
        ? graphFromJson(found)
        : { nodes: [], edges: [], hasMore: false };
    },

    async edit(id, changes) {
      const request = { body: editToJson(changes), isPatch: true };
      try {
        await api.json(pathOf(id), changeSchema, request);
        return "edited";
      } catch (error) {
        const refusal = NOT_EDITED.find((it) => hasReason(error, it));
        if (refusal) return refusal;
        throw error;
      }
    },

    async move(ids, to) {
      if (ids.length === 0) return [];
      const request = { body: { ids: [...ids], to } };
      return (await api.json("api/v1/tasks/move", movedSchema, request))
        .results;
    },

    async stats({ start, bucketMs, buckets, reasons = 0 }) {
      const query = {
        start: start.toISOString(),
        bucket_seconds: bucketMs / 1_000,
        buckets,
        reasons,
      };
      const path = "api/v1/stats/figures";
      const figures = await api.json(path, figuresSchema, { query });
      return {
        buckets: figures.buckets.map(timesFromJson),
        times: figures.times.map(timesFromJson),
        failures: figures.failures.map(({ example_id, ...rest }) => ({
          ...rest,
          exampleId: example_id,
        })),
        usage: figures.usage.map(({ cost_usd, ...rest }) => ({
          ...rest,
          costUsd: cost_usd,
        })),
      };
    },

    async overview({ limit, recentMs }) {
      const query = { limit, recent_seconds: recentMs / 1_000 };
      const path = "api/v1/stats/overview";
      const overview = await api.json(path, overviewSchema, { query });
      return {
        counts: overview.states as Partial<Record<TaskState, number>>,
        running: overview.running.map(shownFromJson),
        runningCount: overview.running_count,
        ended: overview.ended.map(shownFromJson),
        endedBySecond: new Map(
          overview.ended_by_second.map(({ second, count }) => [second, count]),
        ),
        simulatedLately: overview.simulated_lately,
      };
    },

    async export({ format, events, forSpreadsheet, ...filter }) {
      const query = {
        ...queryOf(filter),
        format,
        events,
        for_spreadsheet: forSpreadsheet,
      };
      const { headers, body } = await api.stream("api/v1/export", { query });
      return {
        rows: Number(headers.get(ROWS_HEADER)),
        bytes: Number(headers.get("Content-Length")),
        body,
      };
    },

    prunable: (before) =>
      api.json("api/v1/prunable", prunableSchema, {
        query: { before: before.toISOString() },
      }),

    async prune(before) {
      const body = { before: before.toISOString() };
      const pruned = await api.json("api/v1/prune", prunedSchema, { body })
        .catch((error) => {
          if (!hasReason(error, REFUSED)) throw error;
          throw new DatabaseError(error.message, { cause: error });
        });
      const { bytes_before, bytes, free_bytes, ...count } = pruned;
      const isKnown = bytes_before !== null && bytes !== null &&
        free_bytes !== null;
      const size = isKnown
        ? { before: bytes_before, after: bytes, free: free_bytes }
        : null;
      return { ...count, size };
    },

    pruneHistory: () =>
      Promise.reject(
        new UsageError(
          "Cannot delete the history alone through a service: its runner does " +
            "that by itself. Start that with --event-retention.",
        ),
      ),

    runners: async () =>
      (await api.json("api/v1/runners", runnersSchema)).runners
        .map(runnerFromJson),

    pauses: async () =>
      (await api.json("api/v1/pauses", pausesSchema)).pauses.map(pauseFromJson),

    async pause(target, { reason, waitMs }) {
      const seconds = waitMs === null ? null : waitMs / 1_000;
      const request = { body: { ...targetToJson(target), reason, seconds } };
      await api.json("api/v1/pauses", pausesSchema, request);
    },

    async resume(target) {
      const request = { body: targetToJson(target) };
      const path = "api/v1/pauses/resume";
      return (await api.json(path, resumedSchema, request)).ended;
    },

    drain: (names) =>
      inSets(names, MAX_SET_RUNNERS, async (set) => {
        const request = { body: { names: set } };
        const path = "api/v1/runners/drain";
        return (await api.json(path, drainedSchema, request)).results;
      }),
  };
}

/** Where a task is, or what is known of it. */
function pathOf(id: string, ...more: readonly string[]): string {
  return ["api/v1/tasks", encodeURIComponent(id), ...more].join("/");
}

const NOT_EDITED = ["begun", "ended", "missing", "unknown state"] as const;

/** What was found; undefined where the service says that there is no such task. */
async function unlessMissing<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if (hasReason(error, "missing")) return undefined;
    throw error;
  }
}

function hasReason(error: unknown, reason: string): error is Refusal {
  return error instanceof Refusal && error.reason === reason;
}

/** Another program may have made a state up, as in the table itself. */
function withState<T extends { readonly state: string }>(
  json: T,
): T & { readonly state: TaskState } {
  return json as T & { readonly state: TaskState };
}

type TimesJson<T> = Omit<T, keyof Times> & {
  readonly wait_ms: Times["wait"];
  readonly run_ms: Times["run"];
};

function timesFromJson<T extends TimesJson<Times | Bucket>>(
  { wait_ms, run_ms, ...rest }: T,
) {
  return { ...rest, wait: wait_ms, run: run_ms };
}

type ShownJson = z.infer<typeof overviewSchema>["running"][number];

function shownFromJson(json: ShownJson): ShownTask {
  return {
    id: json.id,
    provider: json.provider,
    instruction: json.instruction,
    state: json.state as TaskState,
    traceText: traceFromJson(json.trace),
    startedAt: timeFromJson(json.started_at),
    leaseExpiresAt: timeFromJson(json.lease_expires_at),
    updatedAt: new Date(json.updated_at),
  };
}
