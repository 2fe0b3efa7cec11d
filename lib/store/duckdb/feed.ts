/**
 * Reading for many who watch: pages, counts and the events of all tasks.
 *
 * @module
 */

import {
  type EventsAfterOptions,
  MAX_LISTED_TEXT,
  type PageOptions,
  type SeriesOptions,
  type StateCount,
  type TaskCounts,
  type TaskFeed,
  type TaskPage,
} from "../feed.ts";
import type { TaskEvent } from "../../task/task.ts";
import type { SqlValue } from "./connection.ts";
import { fingerprintOf } from "./file.ts";
import type { Database } from "./database.ts";
import {
  EVENT_COLUMNS,
  eventOf,
  type EventRow,
  TASK_ROW,
  taskOf,
  type TaskRow,
} from "./rows.ts";
import { readSeries } from "./series.ts";

/** A page of 500 tasks must not be hundreds of megabytes. */
const MAX_LISTED_TRACE = 16_384;

/** An infinite time has no epoch. */
const CREATED_US = "coalesce(epoch_us(created_at), 0)";

/** Holds for the tasks that are asked for; `q` is the text in lower case. */
const IS_WANTED = `
  ($1::TEXT IS NULL OR list_contains(string_split($1, ','), status))
  AND ($2::TEXT IS NULL OR provider = $2)
  AND ($3::TEXT IS NULL OR starts_with(id::TEXT, $3)
    OR contains(lower(instruction), $3)
    OR contains(lower(concat(repo_full_name, '#',
         coalesce(issue_number, pr_number))), $3))`;

/** A {@linkcode TaskFeed} of a DuckDB file. */
export class DuckDbFeed implements TaskFeed {
  readonly #database: Database;
  readonly #path: string;
  #memoryVersion = 0;

  constructor(database: Database, path: string) {
    this.#database = database;
    this.#path = path;
  }

  page(
    { states, provider, text, limit, after }: PageOptions,
  ): Promise<TaskPage> {
    const filter: readonly SqlValue[] = [
      states?.join(",") ?? null,
      provider ?? null,
      text?.toLowerCase() ?? null,
    ];
    return this.#database.transaction(async (connection) => {
      const rows = await connection.json<(TaskRow & { us: number })[]>(
        `SELECT to_json(list(struct_insert(row, us := us)
           ORDER BY us DESC, id DESC)) FROM (
           SELECT id, us, ${TASK_ROW} AS row FROM (
             SELECT * REPLACE (
               left(instruction, ${MAX_LISTED_TEXT}) AS instruction,
               CASE WHEN strlen(last_update) <= ${MAX_LISTED_TRACE}
                 THEN last_update END AS last_update), us
             FROM (SELECT *, ${CREATED_US} AS us FROM agent_tasks
               WHERE ${IS_WANTED} AND ($4::BIGINT IS NULL
                 OR (${CREATED_US}, id) < ($4::BIGINT, $5::UUID))
               ORDER BY us DESC, id DESC LIMIT $6)))`,
        [
          ...filter,
          after?.createdAtUs ?? null,
          after?.id ?? null,
          // One more than is shown, to know whether there are more.
          limit + 1,
        ],
      ) ?? [];
      const total = await connection.json<number>(
        `SELECT to_json(count(*)) FROM agent_tasks WHERE ${IS_WANTED}`,
        filter,
      );
      const last = rows.length > limit ? rows[limit - 1] : undefined;
      return {
        next: last && { createdAtUs: last.us, id: last.task.id },
        tasks: rows.slice(0, limit).map(taskOf),
        total: total ?? 0,
      };
    });
  }

  counts(now: Date): Promise<TaskCounts> {
    return this.#database.transaction(async (connection) => {
      const counts = await connection.json<StateCount[]>(
        `SELECT to_json(list(t)) FROM (
           SELECT provider, status AS state, count(*) AS count
           FROM agent_tasks GROUP BY ALL ORDER BY count DESC) t`,
      );
      const live = await connection.json<LiveRow>(
        `SELECT to_json({waiting: count(*) FILTER (due <= $1),
           since: min(due) FILTER (due <= $1),
           flying: count(*) FILTER (lease > $1)}) FROM (
           SELECT epoch_ms(lease_expires_at) AS lease,
             CASE WHEN cancel_requested_at IS NULL THEN greatest(
               CASE status WHEN 'created' THEN epoch_ms(created_at)
                 ELSE epoch_ms(updated_at) END,
               epoch_ms(run_at), epoch_ms(lease_expires_at), 0) END AS due
           FROM agent_tasks WHERE status IN ('created', 'running'))`,
        [now.getTime()],
      );
      return {
        counts: counts ?? [],
        waiting: live?.waiting ?? 0,
        waitingSince: live?.since ? new Date(live.since) : null,
        inFlight: live?.flying ?? 0,
      };
    });
  }

  series(options: SeriesOptions) {
    return this.#database.transaction((connection) =>
      readSeries(connection, options)
    );
  }

  eventsAfter(
    id: number,
    { limit, taskId }: EventsAfterOptions,
  ): Promise<TaskEvent[]> {
    return this.#database.transaction(async (connection) => {
      const rows = await connection.json<EventRow[]>(
        `SELECT to_json(list(t ORDER BY id)) FROM (
           SELECT ${EVENT_COLUMNS} FROM agent_task_events
           WHERE id > $1 AND ($2::UUID IS NULL OR task_id = $2::UUID)
           ORDER BY id LIMIT $3) t`,
        [id, taskId ?? null, limit],
      );
      return (rows ?? []).map(eventOf);
    });
  }

  lastEventId(): Promise<number> {
    return this.#database.transaction(async (connection) =>
      await connection.json<number>(
        "SELECT to_json(coalesce(max(id), 0)) FROM agent_task_events",
      ) ?? 0
    );
  }

  version(): string {
    return this.#path === ":memory:"
      ? String(this.#memoryVersion++)
      : fingerprintOf(this.#path);
  }

  onRelease(listener: (heldMs: number) => void): void {
    this.#database.onRelease = listener;
  }

  announceChange(): void {
    this.#database.countChange();
  }
}

interface LiveRow {
  readonly waiting: number;
  readonly since: number | null;
  readonly flying: number;
}
