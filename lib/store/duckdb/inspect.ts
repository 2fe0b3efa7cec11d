/**
 * What `doctor` looks at in a database: its tables and tasks.
 *
 * @module
 */

import { TASK_STATES } from "../../task/task.ts";
import {
  type Check,
  PUT_OFF,
  type TaskCount,
  type TaskFindings,
} from "../contract.ts";
import type { Connection } from "./connection.ts";
import { TASK_COLUMNS } from "./schema.ts";

/** What can be asked, and not written. */
export type Readable = Pick<Connection, "json">;

/** The version of DuckDB. */
export async function readVersion(reader: Readable): Promise<string> {
  return await reader.json<string>(
    "SELECT to_json(library_version) FROM pragma_version()",
  ) ?? "";
}

/** What DuckDB calls the types that the tables are made with. */
const TYPES: Readonly<Record<string, readonly string[]>> = {
  UUID: ["UUID"],
  TEXT: ["VARCHAR"],
  INTEGER: ["INTEGER", "BIGINT"],
  BIGINT: ["BIGINT"],
  BOOLEAN: ["BOOLEAN"],
  // Some databases of HandsFree have times without a zone, which are UTC.
  TIMESTAMPTZ: ["TIMESTAMP WITH TIME ZONE", "TIMESTAMP"],
};

/** What {@linkcode findTasks} needs; an older table may lack others. */
const LOOKED_AT: readonly string[] = [
  ...["provider", "status", "created_at", "updated_at", "run_at"],
  ...["lease_owner", "lease_expires_at", "cancel_requested_at"],
];

/** What {@linkcode checkTables} finds. */
export interface TableFindings {
  readonly check: Check;
  /** The tasks can be looked at. */
  readonly isReadable: boolean;
  /** Tasks may wait for others; an older table does not know of that. */
  readonly hasPlan: boolean;
  /** It has events, which an older database lacks. */
  readonly hasHistory: boolean;
}

/** Looks at the tables, and says whether the tasks can be looked at. */
export async function checkTables(reader: Readable): Promise<TableFindings> {
  const found = await reader.json<Record<string, Record<string, string>>>(
    `SELECT to_json(map_from_entries(list((table_name, columns)))) FROM (
       SELECT table_name,
         map_from_entries(list((column_name, data_type))) AS columns
       FROM duckdb_columns()
       WHERE database_name = current_database()
         AND schema_name = current_schema()
         AND table_name IN ('agent_tasks', 'agent_task_events')
       GROUP BY table_name)`,
  );
  const { agent_tasks: own, agent_task_events: events } = found ?? {};
  const columns = Object.entries(TASK_COLUMNS).map(([name, definition]) => {
    const [expected = ""] = definition.split(" ");
    return { name, expected, type: own?.[name] };
  });
  const wrong = columns.filter(({ expected, type }) =>
    type !== undefined && !TYPES[expected]?.includes(type)
  ).map(({ name, expected, type }) => `${name} is ${type}, not ${expected}`);
  const missing = columns.filter(({ type }) => type === undefined)
    .map(({ name }) => name);
  const name = "tables";
  if (wrong.length > 0) {
    const check: Check = {
      name,
      level: "fail",
      message: `agent_tasks is another program's: ${wrong.join(", ")}`,
      advice: "Give another --db.",
    };
    const nothing = { isReadable: false, hasPlan: false, hasHistory: false };
    return { check, ...nothing };
  }
  const lacks = missing.join(", ") || (events ? "" : "its history");
  const check: Check = own && !lacks
    ? { name, level: "ok", message: "complete" }
    : {
      name,
      level: "ok",
      message: own ? `agent_tasks lacks ${lacks}` : "there are none yet",
      advice: "The next command makes what is missing.",
    };
  const isReadable = !missing.some((column) => LOOKED_AT.includes(column));
  const hasPlan = !["blocked", "if_failed"].some((it) => missing.includes(it));
  return { check, isReadable, hasPlan, hasHistory: events !== undefined };
}

/** Clocks of machines differ by less. */
const CLOCK_SLACK_MS = 60_000;
/** A runner renews its leases long before. */
const LONG_LEASES = 10;

/** Options for {@linkcode findTasks}. */
interface FindOptions extends Omit<TableFindings, "check" | "isReadable"> {
  readonly now: Date;
  /** The lease that a runner takes. */
  readonly leaseMs: number;
}

/** Looks at the tasks. */
export async function findTasks(
  connection: Readable,
  { now, leaseMs, hasPlan, hasHistory }: FindOptions,
): Promise<TaskFindings> {
  const aged = (condition: string, since: string) =>
    `{
    count: count(*) FILTER (${condition}),
    oldestMs: coalesce($1 - min(${since}) FILTER (${condition}), 0)}`;
  const isLive = "coalesce(lease > $1, false)";
  const found = await connection.json<
    Omit<TaskFindings, "runners" | "waitingProviders" | "unbegun">
  >(
    `SELECT to_json({
       total: count(*),
       inFuture: count(*) FILTER (greatest(created, updated) > $2),
       longLeases: count(*) FILTER (status = 'running' AND lease > $3),
       waiting: ${
      aged(
        `status = 'created' AND NOT is_blocked AND NOT ${isLive}
           AND coalesce(run <= $1, true)`,
        "greatest(CASE WHEN is_planned THEN updated ELSE created END, run)",
      )
    },
       abandoned: ${
      aged(
        `status = 'running' AND NOT ${isLive} AND NOT wanted_cancelled
           AND coalesce(run <= $1, true)`,
        "greatest(updated, run, lease)",
      )
    },
       asking: ${aged("status = 'needs_input'", "updated")},
       uncancelled: ${
      aged(
        `status IN ('created', 'running') AND NOT ${isLive}
           AND wanted_cancelled`,
        "updated",
      )
    },
       unknownStates: coalesce(list(DISTINCT status) FILTER (
         status NOT IN ('${TASK_STATES.join("', '")}')), [])})
     FROM (SELECT status, cancel_requested_at IS NOT NULL AS wanted_cancelled,
         epoch_ms(created_at) AS created, epoch_ms(updated_at) AS updated,
         epoch_ms(run_at) AS run, epoch_ms(lease_expires_at) AS lease,
         ${hasPlan ? "coalesce(blocked, false)" : "false"} AS is_blocked,
         ${hasPlan ? "if_failed IS NOT NULL" : "false"} AS is_planned
       FROM agent_tasks)`,
    [
      now.getTime(),
      now.getTime() + CLOCK_SLACK_MS,
      now.getTime() + LONG_LEASES * leaseMs,
    ],
  );
  const counted = async (column: string, condition: string) =>
    await connection.json<TaskCount[]>(
      `SELECT to_json(list(t ORDER BY name)) FROM (
         SELECT coalesce(${column}, '') AS name, count(*) AS tasks
         FROM agent_tasks WHERE ${condition} GROUP BY ALL) t`,
      [now],
    ) ?? [];
  const isHeld = "coalesce(lease_expires_at > $1::TIMESTAMPTZ, false)";
  return {
    ...NOTHING,
    ...found,
    runners: await counted("lease_owner", `status = 'running' AND ${isHeld}`),
    waitingProviders: await counted(
      "provider",
      `status IN ('created', 'running') AND NOT ${isHeld}`,
    ),
    unbegun: hasHistory
      ? await connection.json<TaskCount[]>(
        `SELECT to_json(list(t ORDER BY tasks DESC, name)) FROM (
           SELECT detail AS name, count(*) AS tasks FROM (
             SELECT arg_max(kind, e.id) AS kind, arg_max(detail, e.id) AS detail
             FROM agent_task_events AS e JOIN agent_tasks AS t
               ON t.id = e.task_id
             WHERE status = 'running' AND run_at IS NOT NULL AND NOT ${isHeld}
               AND kind IN ('${PUT_OFF.join("', '")}')
             GROUP BY e.task_id)
           WHERE kind = 'released' GROUP BY ALL) t`,
        [now],
      ) ?? []
      : [],
  };
}

const NONE = { count: 0, oldestMs: 0 };

/** What an empty table has. */
const NOTHING = {
  total: 0,
  inFuture: 0,
  longLeases: 0,
  waiting: NONE,
  abandoned: NONE,
  asking: NONE,
  uncancelled: NONE,
  unknownStates: [],
};
