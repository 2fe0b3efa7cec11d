/**
 * The tables: HandsFree's own, with the columns that its code does not look at,
 * and the history.
 *
 * @module
 */

import { DatabaseError } from "../../base/errors.ts";
import { type Connection, connectUnlogged } from "./connection.ts";
import { explainDuckDbError } from "./explain.ts";

/** The columns of HandsFree's table; never changed where they exist. */
const HANDSFREE_COLUMNS = {
  id: "UUID PRIMARY KEY",
  user_id: "UUID NOT NULL",
  provider: "TEXT NOT NULL",
  repo_full_name: "TEXT",
  issue_number: "INTEGER",
  pr_number: "INTEGER",
  instruction: "TEXT",
  status: "TEXT NOT NULL",
  last_update: "TEXT",
  created_at: "TIMESTAMPTZ NOT NULL DEFAULT now()",
  updated_at: "TIMESTAMPTZ NOT NULL DEFAULT now()",
};

/**
 * The columns that the runner adds. No index: DuckDB scans a million rows in
 * milliseconds, and pays for an index in every update.
 */
const RUNNER_COLUMNS = {
  priority: "INTEGER DEFAULT 0",
  // For a task that waits for an answer: when that is too late.
  run_at: "TIMESTAMPTZ",
  attempt: "INTEGER DEFAULT 0",
  max_attempts: "INTEGER",
  timeout_ms: "BIGINT",
  lease_id: "UUID",
  lease_owner: "TEXT",
  lease_expires_at: "TIMESTAMPTZ",
  cancel_requested_at: "TIMESTAMPTZ",
  // Attempts that ended with a question, and those that a runner died with.
  questions: "INTEGER DEFAULT 0",
  rescues: "INTEGER DEFAULT 0",
  batch: "TEXT",
  key: "TEXT",
  // A list as JSON.
  tags: "TEXT",
  // Null: it waits for none.
  if_failed: "TEXT",
  // What the task says of its repository, an object as JSON; and a list.
  workspace: "TEXT",
  touches: "TEXT",
  needs_approval: "BOOLEAN",
  // The last: DuckDB 1.5 can't commit another ALTER after a truth with a default.
  blocked: "BOOLEAN DEFAULT false",
};

/** Every column that agent-runner needs, with its type. */
export const TASK_COLUMNS = { ...HANDSFREE_COLUMNS, ...RUNNER_COLUMNS };

const EVENTS_TABLE = `
  CREATE TABLE IF NOT EXISTS agent_task_events (
    id BIGINT NOT NULL DEFAULT nextval('agent_task_event_ids'),
    task_id UUID NOT NULL,
    kind TEXT NOT NULL,
    occurred_at TIMESTAMPTZ NOT NULL,
    attempt INTEGER NOT NULL,
    runner TEXT,
    detail TEXT,
    printed TEXT,
    usage TEXT
  )`;

/** What a program printed, and what it used, as JSON. Earlier versions lack them. */
const ADDED_EVENT_COLUMNS = ["printed", "usage"];

/** One row: when runners had the file. See `grace.ts`. */
const USE_TABLE = `
  CREATE TABLE IF NOT EXISTS agent_runner_file (
    last_used_at TIMESTAMPTZ, rescues_from TIMESTAMPTZ)`;

/** The runners that are there. See `runners.ts`. */
const RUNNERS_TABLE = `
  CREATE TABLE IF NOT EXISTS agent_runners (
    name TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    version TEXT NOT NULL,
    concurrency INTEGER NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL,
    draining_at TIMESTAMPTZ
  )`;

/** Providers that take no tasks just now. See `pauses.ts`. */
const PAUSES_TABLE = `
  CREATE TABLE IF NOT EXISTS agent_pauses (
    provider TEXT NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    since TIMESTAMPTZ NOT NULL,
    until TIMESTAMPTZ,
    tries INTEGER NOT NULL,
    trial UUID,
    batch TEXT DEFAULT ''
  )`;

/** Which task waits for which. See `dependencies.ts`. */
const DEPENDENCIES_TABLE = `
  CREATE TABLE IF NOT EXISTS agent_task_dependencies (
    task_id UUID NOT NULL,
    after_id UUID NOT NULL,
    position INTEGER NOT NULL
  )`;

/** When tasks began whose provider has a rate or takes turns. See `starts.ts`. */
const STARTS_TABLE = `
  CREATE TABLE IF NOT EXISTS agent_starts (
    provider TEXT NOT NULL,
    limit_key TEXT NOT NULL,
    turn TEXT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    until TIMESTAMPTZ NOT NULL
  )`;

/** What makes tasks at its times. See `schedules.ts`. */
const SCHEDULES_TABLE = `
  CREATE TABLE IF NOT EXISTS agent_schedules (
    name TEXT NOT NULL,
    definition TEXT NOT NULL,
    source TEXT NOT NULL,
    added_at TIMESTAMPTZ NOT NULL,
    paused_at TIMESTAMPTZ,
    last_slot TIMESTAMPTZ,
    last_task_id UUID
  )`;

/** What runs print, many lines a row. See `run_logs.ts`. */
const LOGS_TABLE = `
  CREATE TABLE IF NOT EXISTS agent_task_logs (
    id BIGINT NOT NULL DEFAULT nextval('agent_task_log_ids'),
    task_id UUID NOT NULL,
    attempt INTEGER NOT NULL,
    lease_id UUID NOT NULL,
    first_line BIGINT NOT NULL,
    line_count INTEGER NOT NULL,
    began_at TIMESTAMPTZ NOT NULL,
    text TEXT NOT NULL
  )`;

const OTHERS = [
  "CREATE SEQUENCE IF NOT EXISTS agent_task_event_ids",
  "CREATE SEQUENCE IF NOT EXISTS agent_task_log_ids",
  EVENTS_TABLE,
  USE_TABLE,
  RUNNERS_TABLE,
  PAUSES_TABLE,
  LOGS_TABLE,
  DEPENDENCIES_TABLE,
  STARTS_TABLE,
  SCHEDULES_TABLE,
];

/**
 * Earlier versions gave an attempt back that ended with a question. Counted like all
 * others, no attempt has the number of one before it.
 */
const COUNT_QUESTIONS = `
  UPDATE agent_tasks SET attempt = coalesce(attempt, 0) + asked, questions = asked
  FROM (SELECT task_id, count(*) AS asked FROM agent_task_events
    WHERE kind = 'needs_input' GROUP BY task_id)
  WHERE id = task_id AND status IN ('running', 'needs_input')`;

/** Fails where a table or a column is missing; reads nothing. */
const PROBES = [
  `SELECT ${Object.keys(TASK_COLUMNS).join(", ")} FROM agent_tasks LIMIT 0`,
  "SELECT printed, usage FROM agent_task_events LIMIT 0",
  "SELECT last_used_at, rescues_from FROM agent_runner_file LIMIT 0",
  "SELECT name FROM agent_runners LIMIT 0",
  "SELECT batch FROM agent_pauses LIMIT 0",
  "SELECT task_id FROM agent_task_logs LIMIT 0",
  "SELECT task_id FROM agent_task_dependencies LIMIT 0",
  "SELECT provider FROM agent_starts LIMIT 0",
  "SELECT name FROM agent_schedules LIMIT 0",
];

async function isComplete(connection: Connection): Promise<boolean> {
  try {
    for (const probe of PROBES) await connection.run(probe);
    return true;
  } catch {
    return false; // The catalogue says what is missing, but takes 10 ms.
  }
}

/**
 * Makes the tables where there are none; what is there is kept. Says what there was
 * to do; of what is `outdated`, {@linkcode upgradeSchema} is to be called.
 *
 * @throws {DatabaseError} where there is another table called `agent_tasks`.
 */
export async function ensureSchema(
  connection: Connection,
): Promise<"created" | "complete" | "outdated"> {
  if (await isComplete(connection)) return "complete";
  const { columns, missing } = await readColumns(connection);
  if (!missing) {
    const all = Object.entries(TASK_COLUMNS);
    await change(connection, [
      `CREATE TABLE agent_tasks (${
        all.map((column) => column.join(" ")).join(", ")
      })`,
      ...OTHERS,
    ]);
    return "created";
  }
  const hasOthers =
    ADDED_EVENT_COLUMNS.every((name) =>
      columns.has(`agent_task_events.${name}`)
    ) && columns.has("agent_runner_file.rescues_from") &&
    columns.has("agent_runners.name") && columns.has("agent_pauses.batch") &&
    columns.has("agent_task_logs.task_id") &&
    columns.has("agent_task_dependencies.task_id") &&
    columns.has("agent_starts.provider") && columns.has("agent_schedules.name");
  return hasOthers && missing.length === 0 ? "complete" : "outdated";
}

/**
 * Adds to a file what an earlier version, or HandsFree, has not put there. Not
 * logged: where a process dies after an ALTER of a table with a default like
 * `now()`, DuckDB can't read its log again, and nobody can open the file any more.
 */
export async function upgradeSchema(path: string): Promise<void> {
  const connection = await connectUnlogged(path);
  try {
    const { missing = [] } = await readColumns(connection);
    await change(connection, [
      ...missing.map(([name, type]) =>
        `ALTER TABLE agent_tasks ADD COLUMN ${name} ${type}`
      ),
      ...OTHERS,
      ...ADDED_EVENT_COLUMNS.map((name) =>
        `ALTER TABLE agent_task_events ADD COLUMN IF NOT EXISTS ${name} TEXT`
      ),
      "ALTER TABLE agent_pauses ADD COLUMN IF NOT EXISTS batch TEXT DEFAULT ''",
      ...missing.some(([name]) => name === "questions")
        ? [COUNT_QUESTIONS]
        : [],
    ]);
    await connection.run("CHECKPOINT");
  } catch (error) {
    throw explainDuckDbError(error, path);
  } finally {
    connection.close();
  }
}

async function change(
  connection: Connection,
  statements: readonly string[],
): Promise<void> {
  await connection.run("BEGIN TRANSACTION");
  for (const sql of statements) await connection.run(sql);
  await connection.run("COMMIT");
}

interface Columns {
  /** `table.column` */
  readonly columns: ReadonlySet<string>;
  /** What `agent_tasks` lacks; undefined where there is no such table. */
  readonly missing: readonly [name: string, type: string][] | undefined;
}

async function readColumns(connection: Connection): Promise<Columns> {
  const columns = new Set(
    await connection.json<string[]>(
      `SELECT to_json(list(table_name || '.' || column_name))
       FROM duckdb_columns()
       WHERE database_name = current_database()
         AND schema_name = current_schema()
         AND table_name IN ('agent_tasks', 'agent_task_events',
           'agent_runner_file', 'agent_runners', 'agent_pauses',
           'agent_task_logs', 'agent_task_dependencies', 'agent_starts',
           'agent_schedules')`,
    ) ?? [],
  );
  const has = (name: string) => columns.has(`agent_tasks.${name}`);
  const hasTable = [...columns].some((name) => name.startsWith("agent_tasks."));
  const foreign = Object.keys(HANDSFREE_COLUMNS).filter((name) => !has(name));
  if (hasTable && foreign.length > 0) {
    throw new DatabaseError(
      `Cannot use the table agent_tasks: it has no column ${
        foreign.join(", ")
      }. ` + "It was made by another program; give another --db.",
    );
  }
  const missing = hasTable
    ? Object.entries(RUNNER_COLUMNS).filter(([name]) => !has(name))
    : undefined;
  return { columns, missing };
}
