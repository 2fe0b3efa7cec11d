/**
 * Questions about all tasks, and what is done with all, through a service.
 *
 * @module
 */

import type { z } from "@hono/zod-openapi";
import type {
  ExportOptions,
  Overview,
  OverviewOptions,
  PruneCount,
  ShownTask,
  Stats,
  StatsOptions,
  StoreSize,
  TaskHistory,
} from "../../store/history.ts";
import {
  figuresSchema,
  overviewSchema,
  prunedSchema,
  ROWS_HEADER,
  sizeSchema,
} from "../api/admin_schemas.ts";
import type { TaskState } from "../../task/task.ts";
import type { Api } from "./api.ts";
import { queryOf } from "./sets.ts";
import { dateOf, stateOf, traceTextOf } from "./task_json.ts";

/** A {@linkcode TaskHistory} behind a service, whose clock counts. */
export class ServiceHistory implements TaskHistory {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  async stats(
    { start, bucketMs, buckets, reasons }: StatsOptions,
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
      counts: figures.tasks.map((it) => ({ ...it, state: stateOf(it.state) })),
      buckets: figures.buckets,
      times: figures.times.map(({ provider, wait_ms, run_ms }) => ({
        provider,
        wait: wait_ms,
        run: run_ms,
      })),
      failures: figures.failures.map(({ reason, count, example_id }) => ({
        reason,
        count,
        exampleId: example_id,
      })),
    };
  }

  async overview(
    { limit, recentMs }: OverviewOptions,
  ): Promise<Overview> {
    const overview = await this.#api.json(
      "api/v1/stats/overview",
      overviewSchema,
      { query: { limit, recent_seconds: recentMs / 1_000 } },
    );
    return {
      counts: overview.states as Partial<Record<TaskState, number>>,
      running: overview.running.map(shownTaskOf),
      runningCount: overview.running_count,
      ended: overview.ended.map(shownTaskOf),
      endedBySecond: new Map(
        overview.ended_by_second.map(({ second, count }) => [second, count]),
      ),
    };
  }

  async export(
    { path, format, events, since, ...filter }: ExportOptions,
  ): Promise<number> {
    const query = {
      ...queryOf(filter),
      format,
      events: String(events),
      since: since?.toISOString(),
    };
    const headers = await this.#api.download(
      "api/v1/export",
      { query },
      async (body) => {
        const file = await Deno.open(path, {
          write: true,
          create: true,
          truncate: true,
        });
        await body.pipeTo(file.writable);
      },
    );
    return Number(headers.get(ROWS_HEADER));
  }

  async countPrunable(before: Date): Promise<PruneCount> {
    return await this.#api.json("api/v1/prunable", prunedSchema, {
      query: { before: before.toISOString() },
    });
  }

  async prune(before: Date): Promise<PruneCount> {
    return await this.#api.json("api/v1/prune", prunedSchema, {
      body: { before: before.toISOString() },
    });
  }

  async checkpoint(): Promise<StoreSize> {
    const { bytes, free_bytes } = await this.#api.json(
      "api/v1/checkpoint",
      sizeSchema,
      { body: {} },
    );
    return { bytes, freeBytes: free_bytes };
  }
}

type ShownJson = z.infer<typeof overviewSchema>["running"][number];

function shownTaskOf(json: ShownJson): ShownTask {
  return {
    id: json.id,
    provider: json.provider,
    instruction: json.instruction,
    state: stateOf(json.state),
    traceText: traceTextOf(json.trace),
    startedAt: dateOf(json.started_at),
    leaseExpiresAt: dateOf(json.lease_expires_at),
    updatedAt: new Date(json.updated_at),
  };
}
