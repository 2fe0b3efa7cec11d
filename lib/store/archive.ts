/**
 * Copying all that one store keeps into another, of whatever kind.
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";
import type {
  Archive,
  ArchiveRow,
  ArchiveTable,
  Check,
  Contents,
} from "./contract.ts";

/** A table of an archive. Both engines know the types by these names. */
export interface TableOf {
  readonly name: string;
  readonly columns: Readonly<Record<string, ColumnType>>;
}

/** The type of a column. */
export type ColumnType =
  | "uuid"
  | "text"
  | "integer"
  | "bigint"
  | "boolean"
  | "timestamptz";

/**
 * The tables in the order in which they are copied: where the newest event is there,
 * all before it are, and a task is never there without its history.
 */
export const ARCHIVE: Readonly<Record<ArchiveTable, TableOf>> = {
  events: {
    name: "agent_task_events",
    columns: {
      id: "bigint",
      task_id: "uuid",
      kind: "text",
      occurred_at: "timestamptz",
      attempt: "integer",
      runner: "text",
      detail: "text",
      printed: "text",
      usage: "text",
    },
  },
  tasks: {
    name: "agent_tasks",
    columns: {
      id: "uuid",
      user_id: "uuid",
      provider: "text",
      repo_full_name: "text",
      issue_number: "integer",
      pr_number: "integer",
      instruction: "text",
      status: "text",
      last_update: "text",
      created_at: "timestamptz",
      updated_at: "timestamptz",
      priority: "integer",
      run_at: "timestamptz",
      attempt: "integer",
      max_attempts: "integer",
      timeout_ms: "bigint",
      lease_id: "uuid",
      lease_owner: "text",
      lease_expires_at: "timestamptz",
      cancel_requested_at: "timestamptz",
      questions: "integer",
      rescues: "integer",
      batch: "text",
      key: "text",
      tags: "text",
      if_failed: "text",
      blocked: "boolean",
      workspace: "text",
      touches: "text",
      needs_approval: "boolean",
    },
  },
  dependencies: {
    name: "agent_task_dependencies",
    columns: { task_id: "uuid", after_id: "uuid", position: "integer" },
  },
  schedules: {
    name: "agent_schedules",
    columns: {
      name: "text",
      definition: "text",
      source: "text",
      added_at: "timestamptz",
      paused_at: "timestamptz",
      last_slot: "timestamptz",
      last_task_id: "uuid",
    },
  },
  endpoints: {
    name: "agent_webhook_endpoints",
    columns: {
      endpoint: "text",
      last_event_id: "bigint",
      seen_at: "timestamptz",
      gone_at: "timestamptz",
      failures: "integer",
      failing_since: "timestamptz",
      last_success_at: "timestamptz",
      last_error_at: "timestamptz",
      last_error: "text",
    },
  },
  deliveries: {
    name: "agent_webhook_deliveries",
    columns: {
      endpoint: "text",
      event_id: "bigint",
      task_id: "uuid",
      tries: "integer",
      next_at: "timestamptz",
      leased_until: "timestamptz",
      given_up_at: "timestamptz",
      error: "text",
    },
  },
};

/** The names of the tables, in their order. */
export const ARCHIVE_TABLES = Object.keys(ARCHIVE) as ArchiveTable[];

/** The most rows that are read or written at once. */
export const SET_ROWS = 5_000;

/** How far a copy is. */
export interface CopyProgress {
  readonly table: ArchiveTable;
  readonly done: number;
  readonly total: number;
}

/** How many rows each of the two has of a table. */
export type CopyCounts = Readonly<
  Record<ArchiveTable, { readonly from: number; readonly to: number }>
>;

/** Whether both have as many of everything. */
export function isEqual(counts: CopyCounts): boolean {
  return Object.values(counts).every((it) => it.from === it.to);
}

/** What is said of a database that lacks something, and what there is to do. */
export function partial(shown: string): { message: string; advice: string } {
  return {
    message: "a copy into it was not finished",
    advice: `Run the same copy again: agent-runner copy FROM ${shown}`,
  };
}

/** What `doctor` says of that. */
export function partialCheck(shown: string): Check {
  return { name: "copy", level: "fail", ...partial(shown) };
}

/**
 * Copies everything, and counts what both have then. A copy that was cut off is gone
 * on with; until then, and until the counts are equal, the target says that it is
 * partial.
 *
 * @throws {UsageError} where the target has something else in it.
 */
export async function copyArchive(
  from: Archive,
  to: Archive,
  onProgress: (progress: CopyProgress) => void,
): Promise<CopyCounts> {
  const counts = await from.read(async (source) => {
    const afterEvent = await to.read((target) => placeIn(target, source));
    await to.prepare(Number((await source.lastEvent())?.id ?? 0));
    for (const table of ARCHIVE_TABLES) {
      const total = await source.count(table);
      let done = table === "events" && afterEvent > 0
        ? await to.read((target) => target.count(table))
        : 0;
      onProgress({ table, done, total });
      for await (const rows of source.rows(table, { afterEvent })) {
        await to.write(table, rows);
        done += rows.length;
        onProgress({ table, done, total });
      }
    }
    return await to.read((target) => countBoth(source, target));
  });
  if (isEqual(counts)) await to.finish();
  return counts;
}

/** The number of the last event that was copied before; 0: none was. */
async function placeIn(target: Contents, source: Contents): Promise<number> {
  const last = await target.lastEvent();
  if (last === undefined) {
    if (await target.count("tasks") === 0) return 0;
  } else {
    const same = await source.event(Number(last.id));
    if (same && isSame(last, same)) return Number(last.id);
  }
  throw new UsageError(
    "Cannot copy: where it is to go are other tasks already. Give an empty " +
      "database, or the one that an earlier copy of the same was cut off in.",
  );
}

function isSame(one: ArchiveRow, other: ArchiveRow): boolean {
  return ["task_id", "kind", "occurred_at"].every((name) =>
    one[name] === other[name]
  );
}

async function countBoth(
  source: Contents,
  target: Contents,
): Promise<CopyCounts> {
  const counts: Partial<Record<ArchiveTable, { from: number; to: number }>> =
    {};
  for (const table of ARCHIVE_TABLES) {
    counts[table] = {
      from: await source.count(table),
      to: await target.count(table),
    };
  }
  return counts as CopyCounts;
}
