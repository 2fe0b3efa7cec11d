/**
 * Tasks behind a service's address.
 *
 * @module
 */

import type { z } from "@hono/zod-openapi";
import { DatabaseError, UsageError } from "../../base/errors.ts";
import {
  type Admin,
  type AmendResult,
  type AnswerResult,
  type ApproveOptions,
  type ApproveResult,
  type Batch,
  type BatchOptions,
  type Bucket,
  type CancelResult,
  type ChosenTask,
  type Counts,
  type DrainResult,
  type EditResult,
  type Exported,
  type ExportOptions,
  type IdList,
  inSets,
  type LogPage,
  type LogsOptions,
  type MoveResult,
  type MoveTarget,
  type NewTasks,
  type NoteResult,
  type Overview,
  type OverviewOptions,
  type PageOptions,
  type PauseInfo,
  type PauseOptions,
  type PauseTarget,
  type PruneCount,
  type Pruned,
  type RetryResult,
  type RunnerInfo,
  type ScheduleAdmin,
  type ShownTask,
  type Stats,
  type StatsOptions,
  type TaskFilter,
  type TaskGraph,
  type TaskPage,
  type Times,
} from "../../store/contract.ts";
import {
  editToJson,
  eventFromJson,
  taskFromJson,
  timeFromJson,
  traceFromJson,
} from "../../task/json.ts";
import type { Amendment } from "../../task/workspace.ts";
import type {
  AgentTask,
  TaskEdit,
  TaskEvent,
  TaskState,
} from "../../task/task.ts";
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
import { Api, type ApiOptions, Refusal } from "./api.ts";
import { createTasks } from "./create.ts";
import { ServiceSchedules } from "./schedules.ts";

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
    admin: new ServiceAdmin(api, options),
    schedules: new ServiceSchedules(api),
    defaultProvider: session.default_provider,
    changes: async (id) => {
      const path = `api/v1/tasks/${encodeURIComponent(id)}/diff`;
      return changesFromJson(await api.json(path, changesSchema));
    },
  };
}

/** Options for {@linkcode openServiceAdmin}. */
export interface ServiceAdminOptions extends ApiOptions {
  /** Called with what the service says of what it did. */
  readonly onWarning: (message: string) => void;
}

/** An {@linkcode Admin} behind a service. */
class ServiceAdmin implements Admin, Disposable {
  readonly #api: Api;
  readonly #options: ServiceAdminOptions;

  constructor(api: Api, options: ServiceAdminOptions) {
    this.#api = api;
    this.#options = options;
  }

  [Symbol.dispose](): void {
    this.#api[Symbol.dispose]();
  }

  create(tasks: NewTasks): Promise<IdList> {
    return createTasks(this.#api, tasks, this.#options);
  }

  async get(id: string): Promise<AgentTask | undefined> {
    const path = `api/v1/tasks/${encodeURIComponent(id)}`;
    const task = await unlessMissing(this.#api.json(path, taskSchema));
    return task && taskFromJson(task);
  }

  async find(prefix: string, limit: number): Promise<AgentTask[]> {
    // No id is longer, and none has anything else in it.
    if (!/^[0-9a-f-]{1,36}$/i.test(prefix)) return [];
    const { tasks } = await this.#whole({ id: prefix, limit });
    return tasks.map(taskFromJson);
  }

  async page(options: PageOptions): Promise<TaskPage> {
    const { limit, isWhole = false } = options;
    const query = { ...queryOf(options), brief: !isWhole };
    const tasks: AgentTask[] = [];
    let next = options.after;
    let total: number | undefined;
    do {
      const rest = Math.min(MAX_PAGE_TASKS, limit - tasks.length);
      const page = await this.#whole({ ...query, limit: rest, cursor: next });
      for (const task of page.tasks) tasks.push(taskFromJson(task));
      total ??= page.total;
      next = page.next_cursor ?? undefined;
    } while (next !== undefined && tasks.length < limit);
    return { tasks, next, total };
  }

  async count(): Promise<Counts> {
    const counts = await this.#api.json("api/v1/stats/counts", countsSchema);
    return {
      counts: counts.tasks.map(withState),
      waiting: counts.waiting,
      waitingSince: timeFromJson(counts.waiting_since),
      inFlight: counts.in_flight,
      at: new Date(counts.as_of),
    };
  }

  async batches({ name, limit }: BatchOptions): Promise<Batch[]> {
    const query = { name, limit: Math.min(limit, MAX_BATCHES) };
    const found = await this.#api.json("api/v1/batches", batchesSchema, {
      query,
    });
    return found.batches.map(batchFromJson);
  }

  async history(taskId: string): Promise<TaskEvent[]> {
    const path = `api/v1/tasks/${encodeURIComponent(taskId)}/events`;
    const found = await unlessMissing(this.#api.json(path, eventsSchema));
    return found?.events.map(eventFromJson) ?? [];
  }

  async logs(
    { taskId, limit, attempt, after }: LogsOptions,
  ): Promise<LogPage> {
    const path = `api/v1/tasks/${encodeURIComponent(taskId)}/logs`;
    const query = { attempt, after, limit: Math.min(limit, MAX_PAGE_LINES) };
    const page = await unlessMissing(
      this.#api.json(path, logPageSchema, { query }),
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
  }

  cancellable(filter: TaskFilter): Promise<ChosenTask[]> {
    return this.#choose("api/v1/tasks/cancellable", filter);
  }

  retryable(filter: TaskFilter): Promise<ChosenTask[]> {
    return this.#choose("api/v1/tasks/retryable", filter);
  }

  cancel(ids: readonly string[]): Promise<CancelResult[]> {
    return this.#change("api/v1/tasks/cancel", cancelledSchema, { ids });
  }

  answer(ids: readonly string[], answer: string): Promise<AnswerResult[]> {
    return this.#change("api/v1/tasks/answer", answeredSchema, { ids, answer });
  }

  approve(
    ids: readonly string[],
    { head }: ApproveOptions = {},
  ): Promise<ApproveResult[]> {
    const path = "api/v1/tasks/approve";
    return this.#change(path, approvedSchema, { ids, head });
  }

  async amend(id: string, amendment: Amendment): Promise<AmendResult> {
    const request = { body: { id, ...amendment } };
    return (await this.#api.json("api/v1/tasks/amend", amendedSchema, request))
      .result;
  }

  async note(id: string, text: string): Promise<NoteResult> {
    const request = { body: { id, text } };
    return (await this.#api.json("api/v1/tasks/note", notedSchema, request))
      .result;
  }

  async retry(
    ids: readonly string[],
    { note }: { readonly note?: string | undefined } = {},
  ): Promise<RetryResult[]> {
    const path = "api/v1/tasks/retry";
    const results = await this.#change(path, retriedSchema, { ids, note });
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
  }

  async dependents(ids: readonly string[]): Promise<string[]> {
    const found = await inSets(ids, MAX_SET_TASKS, async (set) => {
      const request = { body: { ids: set } };
      const path = "api/v1/tasks/dependents";
      return (await this.#api.json(path, dependentsSchema, request)).ids;
    });
    const given = new Set(ids);
    return [...new Set(found)].filter((id) => !given.has(id));
  }

  async graph(
    id: string,
    { limit }: { readonly limit: number },
  ): Promise<TaskGraph> {
    const path = `api/v1/tasks/${encodeURIComponent(id)}/graph`;
    const query = { limit };
    const found = await unlessMissing(
      this.#api.json(path, graphSchema, { query }),
    );
    return found
      ? graphFromJson(found)
      : { nodes: [], edges: [], hasMore: false };
  }

  async edit(id: string, changes: TaskEdit): Promise<EditResult> {
    const path = `api/v1/tasks/${encodeURIComponent(id)}`;
    const body = editToJson(changes);
    try {
      await this.#api.json(path, changeSchema, { body, isPatch: true });
      return "edited";
    } catch (error) {
      const refusal = NOT_EDITED.find((it) => hasReason(error, it));
      if (refusal) return refusal;
      throw error;
    }
  }

  async move(ids: readonly string[], to: MoveTarget): Promise<MoveResult[]> {
    if (ids.length === 0) return [];
    const request = { body: { ids: [...ids], to } };
    return (await this.#api.json("api/v1/tasks/move", movedSchema, request))
      .results;
  }

  async stats(
    { start, bucketMs, buckets, reasons = 0 }: StatsOptions,
  ): Promise<Stats> {
    const figures = await this.#api.json(
      "api/v1/stats/figures",
      figuresSchema,
      {
        query: {
          start: start.toISOString(),
          bucket_seconds: bucketMs / 1_000,
          buckets,
          reasons,
        },
      },
    );
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
  }

  async overview({ limit, recentMs }: OverviewOptions): Promise<Overview> {
    const overview = await this.#api.json(
      "api/v1/stats/overview",
      overviewSchema,
      { query: { limit, recent_seconds: recentMs / 1_000 } },
    );
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
  }

  async export(
    { format, events, forSpreadsheet, ...filter }: ExportOptions,
  ): Promise<Exported> {
    const query = {
      ...queryOf(filter),
      format,
      events,
      for_spreadsheet: forSpreadsheet,
    };
    const { headers, body } = await this.#api.stream("api/v1/export", {
      query,
    });
    return {
      rows: Number(headers.get(ROWS_HEADER)),
      bytes: Number(headers.get("Content-Length")),
      body,
    };
  }

  async prunable(before: Date): Promise<PruneCount> {
    return await this.#api.json("api/v1/prunable", prunableSchema, {
      query: { before: before.toISOString() },
    });
  }

  async prune(before: Date): Promise<Pruned> {
    const body = { before: before.toISOString() };
    const pruned = await this.#api.json("api/v1/prune", prunedSchema, { body })
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
  }

  pruneHistory(): Promise<number> {
    const error = new UsageError(
      "Cannot delete the history alone through a service: its runner does " +
        "that by itself. Start that with --event-retention.",
    );
    return Promise.reject(error);
  }

  async runners(): Promise<RunnerInfo[]> {
    const found = await this.#api.json("api/v1/runners", runnersSchema);
    return found.runners.map(runnerFromJson);
  }

  async pauses(): Promise<PauseInfo[]> {
    const found = await this.#api.json("api/v1/pauses", pausesSchema);
    return found.pauses.map(pauseFromJson);
  }

  async pause(
    target: PauseTarget,
    { reason, waitMs }: PauseOptions,
  ): Promise<void> {
    const seconds = waitMs === null ? null : waitMs / 1_000;
    const request = { body: { ...targetToJson(target), reason, seconds } };
    await this.#api.json("api/v1/pauses", pausesSchema, request);
  }

  async resume(target: PauseTarget): Promise<number> {
    const request = { body: targetToJson(target) };
    const path = "api/v1/pauses/resume";
    return (await this.#api.json(path, resumedSchema, request)).ended;
  }

  drain(names: readonly string[]): Promise<DrainResult[]> {
    return inSets(names, MAX_SET_RUNNERS, async (set) => {
      const request = { body: { names: set } };
      const path = "api/v1/runners/drain";
      return (await this.#api.json(path, drainedSchema, request)).results;
    });
  }

  #change<T>(
    path: string,
    schema: z.ZodType<{ results: T[] }>,
    { ids, ...rest }: {
      readonly ids: readonly string[];
      readonly answer?: string;
      readonly note?: string | undefined;
      readonly head?: string | undefined;
    },
  ): Promise<T[]> {
    return inSets(ids, MAX_SET_TASKS, async (set) => {
      const body = { ids: set, ...rest };
      return (await this.#api.json(path, schema, { body })).results;
    });
  }

  async #choose(path: string, filter: TaskFilter): Promise<ChosenTask[]> {
    const query = queryOf(filter);
    const { tasks } = await this.#api.json(path, chosenSchema, { query });
    return tasks.map(withState);
  }

  #whole(
    query: Readonly<Record<string, string | number | boolean | undefined>>,
  ) {
    return this.#api.json("api/v1/tasks/whole", wholePageSchema, { query });
  }
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
