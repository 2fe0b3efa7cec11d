/**
 * The tables, and the steps by which a database of an earlier version gets them.
 *
 * @module
 */

import { DatabaseError } from "../../base/errors.ts";
import type { TaskJson } from "../../task/json.ts";
import { IS_OPEN_IN_BATCH } from "./batches.ts";
import type { Connection } from "./connection.ts";
import { type Database, LONG_MS } from "./database.ts";
import { HAS_COME, IS_COMING, IS_FREE_TO_RUN, IS_READY } from "./candidates.ts";
import { shownState } from "../state_parts.ts";
import { IS_SIMULATED, STATE_PART, TASK_FIELDS } from "./rows.ts";
import { IS_TOUCHING } from "./touches.ts";

/** The columns that the table had first. */
const FIRST_COLUMNS = {
  id: "uuid PRIMARY KEY",
  user_id: "uuid NOT NULL",
  provider: "text NOT NULL",
  repo_full_name: "text",
  issue_number: "integer",
  pr_number: "integer",
  instruction: "text",
  status: "text NOT NULL",
  last_update: "text",
  created_at: "timestamptz NOT NULL DEFAULT now()",
  updated_at: "timestamptz NOT NULL DEFAULT now()",
  priority: "integer NOT NULL DEFAULT 0",
  run_at: "timestamptz",
  attempt: "integer NOT NULL DEFAULT 0",
  max_attempts: "integer",
  timeout_ms: "bigint",
  lease_id: "uuid",
  lease_owner: "text",
  lease_expires_at: "timestamptz",
  cancel_requested_at: "timestamptz",
  questions: "integer NOT NULL DEFAULT 0",
  rescues: "integer NOT NULL DEFAULT 0",
};

/** What a plan adds: see `dependencies.ts` and `create.ts`. */
const PLAN_COLUMNS = {
  batch: "text",
  key: "text",
  tags: "text",
  if_failed: "text",
  blocked: "boolean NOT NULL DEFAULT false",
};

/** What tasks say of the repository that they work on. */
const WORKSPACE_COLUMNS = {
  workspace: "text",
  touches: "text",
  needs_approval: "boolean NOT NULL DEFAULT false",
};

/**
 * The columns of HandsFree's table, as in a DuckDB file, and those that the runner
 * adds. What one asks of the one database can be asked of the other.
 */
export const TASK_COLUMNS = {
  ...FIRST_COLUMNS,
  ...PLAN_COLUMNS,
  ...WORKSPACE_COLUMNS,
};

/**
 * What is only here: the order of one batch, what a task repeats, and which
 * `run_at` has come, as a claim has noted.
 */
const OWN_COLUMNS = {
  seq: "bigint NOT NULL GENERATED ALWAYS AS IDENTITY",
  retry_of: "uuid",
  come_at: "timestamptz",
};

/** The columns that the history had first. */
const FIRST_EVENT_COLUMNS = {
  id: "bigint NOT NULL GENERATED ALWAYS AS IDENTITY",
  task_id: "uuid NOT NULL",
  kind: "text NOT NULL",
  occurred_at: "timestamptz NOT NULL",
  attempt: "integer NOT NULL",
  runner: "text",
  detail: "text",
  printed: "text",
};

/** The columns of the history, as `export` gives them. */
export const EVENT_COLUMNS = { ...FIRST_EVENT_COLUMNS, usage: "text" };

const columnsOf = (columns: Readonly<Record<string, string>>) =>
  Object.entries(columns).map((column) => column.join(" "));

/** A time without an end has no number of milliseconds. */
const FINITE = ["created_at", "updated_at", "run_at", "lease_expires_at"]
  .map((name) => `CHECK (isfinite(${name}))`);

/**
 * Texts of more than a few words are kept apart, and are not copied by what leaves
 * them as they are: a claim writes 200 bytes. An instruction and a trace stay columns
 * of the table all the same, so that one question reads a task.
 */
const TASKS = `
  CREATE TABLE agent_tasks (${
  [...columnsOf({ ...FIRST_COLUMNS, ...OWN_COLUMNS }), ...FINITE].join(", ")
}) WITH (fillfactor = 80, toast_tuple_target = 256,
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1)`;

/**
 * What could be claimed but for the time, in the order of a claim for each provider,
 * so that a claim reads what it takes and no more; what waits for its time; what is
 * in hand. A heartbeat changes none of them.
 */
const READY = "ON agent_tasks (provider, priority DESC, created_at, seq)";
const TASK_INDEXES = [
  `CREATE INDEX agent_tasks_ready ${READY}
     WHERE ${IS_FREE_TO_RUN} AND ${HAS_COME}`,
  `CREATE INDEX agent_tasks_scheduled ON agent_tasks (run_at)
     WHERE run_at IS NOT NULL`,
  `CREATE INDEX agent_tasks_coming ON agent_tasks (run_at) WHERE ${IS_COMING}`,
  `CREATE INDEX agent_tasks_leased ON agent_tasks (lease_id)
     WHERE lease_id IS NOT NULL`,
  `CREATE INDEX agent_tasks_cancelling ON agent_tasks (cancel_requested_at)
     WHERE cancel_requested_at IS NOT NULL
       AND status IN ('running', 'needs_input')`,
  "CREATE INDEX agent_tasks_newest ON agent_tasks (created_at, seq)",
  `CREATE INDEX agent_tasks_ended ON agent_tasks (updated_at)
     WHERE status IN ('completed', 'failed')`,
  `CREATE INDEX agent_tasks_retried ON agent_tasks (retry_of)
     WHERE retry_of IS NOT NULL`,
];

/** Each with the id of its transaction: see `events.ts`. Only added to. */
const EVENTS = [
  `CREATE TABLE agent_task_events (${
    columnsOf(FIRST_EVENT_COLUMNS).join(", ")
  }, xid xid8 NOT NULL DEFAULT pg_current_xact_id())
    WITH (autovacuum_vacuum_insert_scale_factor = 0.05,
      autovacuum_analyze_scale_factor = 0.02)`,
  "CREATE UNIQUE INDEX agent_task_events_order ON agent_task_events (xid, id)",
  "CREATE INDEX agent_task_events_task ON agent_task_events (task_id, id)",
  `CREATE INDEX agent_task_events_time ON agent_task_events
     USING brin (occurred_at) WITH (pages_per_range = 32)`,
];

const OUTBOX = [
  `CREATE TABLE agent_webhook_endpoints (
     endpoint text PRIMARY KEY,
     last_xid xid8 NOT NULL,
     last_event_id bigint NOT NULL,
     seen_at timestamptz NOT NULL,
     gone_at timestamptz,
     failures integer NOT NULL DEFAULT 0,
     failing_since timestamptz,
     last_success_at timestamptz,
     last_error_at timestamptz,
     last_error text)`,
  `CREATE TABLE agent_webhook_deliveries (
     endpoint text NOT NULL,
     event_id bigint NOT NULL,
     event_xid xid8 NOT NULL,
     task_id uuid NOT NULL,
     tries integer NOT NULL DEFAULT 0,
     next_at timestamptz,
     leased_until timestamptz,
     given_up_at timestamptz,
     error text,
     PRIMARY KEY (endpoint, event_id))`,
  `CREATE INDEX agent_webhook_deliveries_task
     ON agent_webhook_deliveries (task_id)`,
];

/** The runners that are there. See `runners.ts`. */
const RUNNERS = `
  CREATE TABLE agent_runners (
    name text PRIMARY KEY,
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    concurrency integer NOT NULL,
    started_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    draining_at timestamptz)`;

/** What runs used. Few events have it, and sums over days read no other. */
const USAGE = [
  `ALTER TABLE agent_task_events ADD COLUMN usage ${EVENT_COLUMNS.usage}`,
  `CREATE INDEX agent_task_events_usage ON agent_task_events (occurred_at)
     WHERE usage IS NOT NULL`,
];

/** Providers that take no tasks just now. See `pauses.ts`. */
const PAUSES = `
  CREATE TABLE agent_pauses (
    provider text NOT NULL,
    kind text NOT NULL,
    reason text NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz,
    tries integer NOT NULL,
    trial uuid,
    PRIMARY KEY (provider, kind))`;

/** What runs print, many lines a row. See `run_logs.ts`. */
const LOGS = [
  `CREATE TABLE agent_task_logs (
     id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
     task_id uuid NOT NULL,
     attempt integer NOT NULL,
     lease_id uuid NOT NULL,
     first_line bigint NOT NULL,
     line_count integer NOT NULL,
     began_at timestamptz NOT NULL,
     text text NOT NULL)`,
  `CREATE INDEX agent_task_logs_task
     ON agent_task_logs (task_id, attempt, id)`,
  `CREATE INDEX agent_task_logs_time ON agent_task_logs
     USING brin (began_at) WITH (pages_per_range = 32)`,
];

/**
 * What waits for another task is in no claim's way. Which task waits for which is
 * in a table of its own; see `dependencies.ts`.
 */
const PLAN = [
  ...columnsOf(PLAN_COLUMNS).map((column) =>
    `ALTER TABLE agent_tasks ADD COLUMN ${column}`
  ),
  "DROP INDEX agent_tasks_ready",
  `CREATE INDEX agent_tasks_ready ${READY} WHERE ${IS_READY}`,
  `CREATE INDEX agent_tasks_batch ON agent_tasks (batch, created_at, seq)
     WHERE batch IS NOT NULL`,
  `CREATE INDEX agent_tasks_open_in_batch ON agent_tasks (batch)
     WHERE ${IS_OPEN_IN_BATCH}`,
  `CREATE INDEX agent_tasks_key ON agent_tasks (key, created_at, seq)
     WHERE key IS NOT NULL`,
  `CREATE INDEX agent_tasks_key_open ON agent_tasks (key)
     WHERE key IS NOT NULL AND status NOT IN ('completed', 'failed')`,
  `CREATE TABLE agent_task_dependencies (
     task_id uuid NOT NULL,
     after_id uuid NOT NULL,
     position integer NOT NULL,
     PRIMARY KEY (task_id, after_id))`,
  `CREATE INDEX agent_task_dependencies_after
     ON agent_task_dependencies (after_id)`,
  `CREATE TABLE agent_starts (
     provider text NOT NULL,
     limit_key text NOT NULL,
     turn text NOT NULL,
     started_at timestamptz NOT NULL,
     until timestamptz NOT NULL)`,
  "CREATE INDEX agent_starts_order ON agent_starts (provider, started_at)",
  "CREATE INDEX agent_starts_until ON agent_starts (until)",
  `CREATE TABLE agent_schedules (
     name text PRIMARY KEY,
     definition text NOT NULL,
     source text NOT NULL,
     added_at timestamptz NOT NULL,
     paused_at timestamptz,
     last_slot timestamptz,
     last_task_id uuid)`,
  "ALTER TABLE agent_pauses ADD COLUMN batch text NOT NULL DEFAULT ''",
  "ALTER TABLE agent_pauses DROP CONSTRAINT agent_pauses_pkey",
  "ALTER TABLE agent_pauses ADD PRIMARY KEY (provider, batch, kind)",
];

const WORKSPACES = [
  ...columnsOf(WORKSPACE_COLUMNS).map((column) =>
    `ALTER TABLE agent_tasks ADD COLUMN ${column}`
  ),
  `CREATE INDEX agent_tasks_touching ON agent_tasks (seq)
     WHERE ${IS_TOUCHING}`,
];

/** What a trace, which may be any text, can be refused for. */
const UNREADABLE = "data_exception OR statement_too_complex";

/**
 * A function of a value at the top of a trace, which may be any text: null where
 * there is none. The server's JSON has no half characters and no NUL.
 */
const ofTrace = (name: string, type: string, value: string) =>
  String.raw`
  CREATE FUNCTION ${name}(trace text, name text) RETURNS ${type}
  LANGUAGE plpgsql IMMUTABLE STRICT AS $body$
  BEGIN
    IF strpos(trace, '"' || name || '"') = 0 THEN RETURN NULL; END IF;
    IF strpos(trace, '\u') > 0 THEN
      trace := regexp_replace(trace,
        '(\\\\)|\\u([dD][89a-fA-F][0-9a-fA-F]{2}|0000)', '\1', 'g');
    END IF;
    RETURN ${value};
  EXCEPTION WHEN ${UNREADABLE} THEN
    RETURN NULL;
  END $body$`;

/** The value as a text. */
const TRACE_VALUE = ofTrace("trace_value", "text", "trace::json ->> name");

/** The value as JSON: a text, a number, true or false. */
const TRACE_SCALAR = ofTrace(
  "trace_scalar",
  "json",
  `CASE WHEN json_typeof(trace::json -> name) IN ('array', 'object')
      THEN NULL ELSE trace::json -> name END`,
);

type PlanField = "batch" | "key" | "tags" | "if_failed" | "blocked";
type WorkspaceField =
  | "repo"
  | "base"
  | "branch"
  | "touches"
  | "needs_approval";

/** What `sql` called the columns first: as JSON does, but that times are times. */
const VIEW_COLUMNS: Readonly<
  Record<Exclude<keyof TaskJson, PlanField | WorkspaceField>, string>
> = {
  id: "id",
  state: TASK_FIELDS.state,
  shown_state: shownState(STATE_PART),
  simulated: IS_SIMULATED,
  user_id: "user_id",
  provider: "provider",
  target_type: TASK_FIELDS.targetType,
  target_ref: TASK_FIELDS.targetRef,
  instruction: "instruction",
  trace: "trace_json(last_update)",
  priority: "priority",
  attempt: "attempt",
  questions: "questions",
  max_attempts: "max_attempts",
  timeout_seconds: "timeout_ms / 1000.0::float8",
  run_at: "run_at",
  lease_owner: "lease_owner",
  lease_expires_at: "lease_expires_at",
  cancel_requested_at: "cancel_requested_at",
  created_at: "created_at",
  updated_at: "updated_at",
};

/** A trace as JSON, or as a JSON text where it is none. */
const TRACE_JSON = `
  CREATE FUNCTION trace_json(trace text) RETURNS json
  LANGUAGE plpgsql IMMUTABLE STRICT AS $body$
  BEGIN
    RETURN trace::json;
  EXCEPTION WHEN ${UNREADABLE} THEN
    RETURN to_json(trace);
  END $body$`;

/** A view gets new columns at its end. */
const PLAN_VIEW_COLUMNS: Readonly<Record<PlanField, string>> = {
  batch: "batch",
  key: "key",
  tags: TASK_FIELDS.tags,
  if_failed: "if_failed",
  blocked: TASK_FIELDS.isBlocked,
};

const WORKSPACE_VIEW_COLUMNS: Readonly<Record<WorkspaceField, string>> = {
  repo: "workspace::json ->> 'repo'",
  base: "workspace::json ->> 'base'",
  branch: "workspace::json ->> 'branch'",
  touches: TASK_FIELDS.touches,
  needs_approval: "needs_approval",
};

const viewOf = (columns: Readonly<Record<string, string>>) =>
  `VIEW tasks AS SELECT ${
    Object.entries(columns).map((it) => it.toReversed().join(" AS "))
      .join(", ")
  } FROM agent_tasks`;
/** For databases of all versions: what it has depends on columns that came last. */
const VIEW = `CREATE OR REPLACE ${
  viewOf({
    ...VIEW_COLUMNS,
    ...PLAN_VIEW_COLUMNS,
    ...WORKSPACE_VIEW_COLUMNS,
  })
}`;

/** What leads from each version to the next; the first from nothing. */
const STEPS: readonly (readonly string[])[] = [
  [
    TRACE_VALUE,
    TRACE_SCALAR,
    TRACE_JSON,
    TASKS,
    ...TASK_INDEXES,
    ...EVENTS,
    ...OUTBOX,
    RUNNERS,
  ],
  [...USAGE, PAUSES, ...LOGS],
  PLAN,
  [...WORKSPACES, VIEW],
];

/** The version that this program works with. */
export const VERSION = STEPS.length;

/** Any number, the same in all runners. */
const LOCK = 7_311_650_016;

/** The version of the tables; 0: there are none. */
export async function readVersion(
  connection: Connection,
  schema: string,
): Promise<number> {
  // Not to_regclass(): what another transaction has just made, it may not see.
  const [row] = await connection.rows<{ has: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_class c
       JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname = $1 AND c.relname = 'agent_runner_version') AS has`,
    [schema],
  );
  if (!row?.has) return 0;
  const [found] = await connection.rows<{ version: number }>(
    "SELECT max(version) AS version FROM agent_runner_version",
  );
  return found?.version ?? 0;
}

/**
 * What is to be done to a database of that version, statement by statement.
 *
 * @throws {DatabaseError} where it is of a newer one.
 */
export function stepsFrom(version: number, shown: string): string[] {
  if (version > VERSION) {
    throw new DatabaseError(
      `Cannot use ${shown}: its tables are of version ${version}, and this ` +
        `agent-runner knows ${VERSION}. Update agent-runner.`,
    );
  }
  const first = version === 0
    ? [
      "CREATE TABLE agent_runner_version (version integer NOT NULL, made_at timestamptz NOT NULL DEFAULT now())",
    ]
    : [];
  return STEPS.slice(version).reduce<string[]>((all, step, index) => [
    ...all,
    ...step,
    `INSERT INTO agent_runner_version (version) VALUES (${
      version + index + 1
    })`,
  ], first);
}

/**
 * Makes what is missing, once, however many runners start at a time. Returns the
 * version that there was.
 *
 * @throws {DatabaseError} where the database is of a newer version.
 */
export async function ensureSchema(
  database: Database,
  options: { readonly waitMs?: number; readonly signal?: AbortSignal } = {},
): Promise<number> {
  const { shown, schema } = database;
  const { found, isRestored } = await database.read(async (connection) => {
    const found = await readVersion(connection, schema);
    const isRestored = found === VERSION && await hasFuture(connection);
    return { found, isRestored };
  }, options);
  if (isRestored) await database.transaction(renumber, options);
  if (stepsFrom(found, shown).length === 0) return found;
  return await database.transaction(async (connection) => {
    await connection.rows("SELECT pg_advisory_xact_lock($1)", [LOCK]);
    const version = await readVersion(connection, schema);
    const steps = stepsFrom(version, shown);
    const [made] = await connection.rows<{ has: boolean }>(
      "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) AS has",
      [schema],
    );
    if (steps.length > 0 && !made?.has) {
      await connection.run(`CREATE SCHEMA "${schema}"`);
    }
    for (const step of steps) await connection.run(step);
    return version;
  }, { ...options, timeoutMs: LONG_MS });
}

/**
 * Whether there are transactions that this server did not have: those of the server
 * of which the dump was that was restored here.
 */
async function hasFuture(connection: Connection): Promise<boolean> {
  const [row] = await connection.rows<{ has: boolean }>(
    `SELECT EXISTS (
       SELECT FROM agent_task_events
       WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())) AS has`,
  );
  return row?.has ?? false;
}

/** Without it, what they wrote could be read only when this server is as far. */
async function renumber(connection: Connection): Promise<void> {
  await connection.rows("SELECT pg_advisory_xact_lock($1)", [LOCK]);
  // One for all: each statement would see another.
  const [row] = await connection.rows<{ border: string }>(
    "SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS border",
  );
  for (
    const [table, xid] of [
      ["agent_task_events", "xid"],
      ["agent_webhook_endpoints", "last_xid"],
      ["agent_webhook_deliveries", "event_xid"],
    ] as const
  ) {
    await connection.run(
      `UPDATE ${table} SET ${xid} = pg_current_xact_id()
       WHERE ${xid} >= $1::xid8 AND ${xid} <> pg_current_xact_id()`,
      [row?.border ?? "0"],
    );
  }
}
