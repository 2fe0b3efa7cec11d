/**
 * Leasing rows to a runner, and keeping them so.
 *
 * @module
 */

import type { ClaimOptions, HeartbeatResult } from "../contract.ts";
import type { AgentTask, ClaimedTask, Lease } from "../../task/task.ts";
import { mergeTrace, parseTrace, stringifyJson } from "../../task/trace.ts";
import { startedPatch } from "../../task/transitions.ts";
import type { Connection, SqlValue } from "./connection.ts";
import { notifyStarted } from "./notifications.ts";
import { type TaskJson, taskLists } from "./rows.ts";
import { Stage } from "./stage.ts";

/** What leasing leaves as it is, or counts on from. */
const CLAIMED_FIELDS = [
  "id",
  "userId",
  "provider",
  "targetType",
  "targetRef",
  "instruction",
  "priority",
  "attempt",
  "maxAttempts",
  "timeoutMs",
] as const;

/** Stands for an infinite time among microseconds; no exact number is farther. */
const INFINITE_US = Number.MAX_SAFE_INTEGER;

interface ClaimedRow extends Pick<TaskJson, (typeof CLAIMED_FIELDS)[number]> {
  readonly trace: string | null;
  readonly place: number;
  /** Microseconds since 1970: two tasks of one millisecond have an order. */
  readonly createdUs: number;
}

/** A list for each column: reading them so takes half the time of rows. */
type Columns = {
  readonly [name in keyof ClaimedRow]: readonly ClaimedRow[name][];
};

/** The rows to lease. */
export interface Wanted {
  /** Holds for them, and no longer when they are leased. */
  readonly condition: string;
  /** Its values, from $1 on. */
  readonly values: readonly SqlValue[];
}

/** Leases rows, notes that in trace and history, and returns their tasks. */
export async function leaseRows(
  connection: Connection,
  options: ClaimOptions,
  wanted: Wanted,
): Promise<ClaimedTask[]> {
  // Before the update: no RETURNING, which rewrites every row and its index
  // entry, and no search for what was leased.
  const text = await connection.text(
    `SELECT to_json({${taskLists(CLAIMED_FIELDS)},
       trace: list(last_update),
       place: list(rowid),
       createdUs: list(coalesce(epoch_us(created_at), CASE
         WHEN created_at > 'epoch' THEN 1 ELSE -1 END * ${INFINITE_US}))})
     FROM agent_tasks WHERE ${wanted.condition} HAVING count(*) > 0`,
    wanted.values,
  );
  if (text === null) return [];
  const leaseId = crypto.randomUUID();
  // Before the update: that moves a row whose changed column has an index.
  await notifyStarted(connection, {
    condition: wanted.condition,
    at: `$${wanted.values.length + 1}::TIMESTAMPTZ`,
    values: [...wanted.values, options.now.toISOString()],
  });
  const writing = writeLeases(connection, { ...options, leaseId }, wanted);
  let read: { claimed: ClaimedTask[]; traces: NewTrace[] };
  try {
    // JavaScript reads the text while DuckDB writes.
    const { opening } = Stage.of(connection);
    read = claimedOf(text, { ...options, leaseId, opening });
  } finally {
    await writing;
  }
  await writeTraces(connection, read.traces);
  return read.claimed;
}

interface LeaseOptions extends ClaimOptions {
  readonly leaseId: string;
}

/** Sends at once what it writes: it waits for nothing before. */
async function writeLeases(
  connection: Connection,
  { leaseId, owner, leaseMs, now }: LeaseOptions,
  { condition, values }: Wanted,
): Promise<void> {
  const bound = [...values];
  const bind = (value: SqlValue) => `$${bound.push(value)}`;
  const at = `${bind(now.toISOString())}::TIMESTAMPTZ`;
  const by = bind(owner);
  connection.defer(
    `INSERT INTO agent_task_events
       (task_id, kind, occurred_at, attempt, runner)
     SELECT id, 'started', ${at}, coalesce(attempt, 0) + 1, ${by}
     FROM agent_tasks WHERE ${condition} ORDER BY rowid`,
    bound,
  );
  const expiresAt = new Date(now.getTime() + leaseMs);
  await connection.run(
    `UPDATE agent_tasks SET
       status = 'running', attempt = coalesce(attempt, 0) + 1, run_at = NULL,
       lease_id = ${bind(leaseId)}, lease_owner = ${by},
       lease_expires_at = ${bind(expiresAt.toISOString())}::TIMESTAMPTZ,
       updated_at = ${at}, last_update = coalesce(last_update, ${
      bind(stringifyJson(startedPatch(now)))
    })
     WHERE ${condition}`,
    bound,
  );
}

interface NewTrace {
  readonly id: string;
  readonly trace: string;
}

/** The claimed tasks, and the traces that are not written yet. */
function claimedOf(
  text: string,
  { leaseId, owner, leaseMs, now, opening }: LeaseOptions & {
    readonly opening: number;
  },
): { claimed: ClaimedTask[]; traces: NewTrace[] } {
  const columns: Columns = JSON.parse(text);
  const patch = startedPatch(now);
  const started = stringifyJson(patch);
  const traces: NewTrace[] = [];
  const leaseExpiresAt = new Date(now.getTime() + leaseMs);
  let createdAt = new Date(NaN);
  const claimed = runOrder(columns).map((i): ClaimedTask => {
    const at = <T>(values: readonly T[]) => values[i] as T;
    const id = at(columns.id);
    const attempt = at(columns.attempt) + 1;
    const trace = at(columns.trace);
    let traceText = trace ?? started;
    if (trace !== null && !wasStarted(trace)) {
      traceText = mergeTrace(trace, patch);
      traces.push({ id, trace: traceText });
    }
    const createdMs = msOf(at(columns.createdUs));
    // One for all that were created together.
    if (createdMs !== createdAt.getTime()) createdAt = new Date(createdMs);
    const task: AgentTask = {
      id,
      userId: at(columns.userId),
      provider: at(columns.provider),
      targetType: at(columns.targetType),
      targetRef: at(columns.targetRef),
      instruction: at(columns.instruction),
      state: "running",
      traceText,
      priority: at(columns.priority),
      runAt: null,
      attempt,
      maxAttempts: at(columns.maxAttempts),
      timeoutMs: at(columns.timeoutMs),
      leaseOwner: owner,
      leaseExpiresAt,
      cancelRequestedAt: null,
      createdAt,
      updatedAt: now,
    };
    const place = at(columns.place);
    const lease = { taskId: id, id: leaseId, owner, attempt, place, opening };
    return { task, lease };
  });
  return { claimed, traces };
}

/** As `TASK_FIELDS` has it: an infinite time has no epoch. */
function msOf(us: number): number {
  return Math.abs(us) === INFINITE_US ? 0 : Math.floor(us / 1_000);
}

/** The indexes of the rows, in `RUN_ORDER`. */
function runOrder({ priority, createdUs, place }: Columns): number[] {
  const compare = (values: readonly number[], a: number, b: number) =>
    (values[a] ?? 0) - (values[b] ?? 0);
  return [...place.keys()].sort((a, b) =>
    compare(priority, b, a) || compare(createdUs, a, b) || compare(place, a, b)
  );
}

/** A later attempt keeps the first start's time. */
function wasStarted(traceText: string): boolean {
  return traceText.includes("auto_started_at") &&
    parseTrace(traceText)?.auto_started_at !== undefined;
}

async function writeTraces(
  connection: Connection,
  traces: readonly NewTrace[],
): Promise<void> {
  if (traces.length === 0) return;
  const set = await Stage.of(connection).reserve(
    "incoming_traces",
    traces.length,
  );
  await connection.append("incoming_traces", [
    { type: "bigint", values: traces.map((_, index) => BigInt(set + index)) },
    { type: "text", values: traces.map(({ id }) => id) },
    { type: "text", values: traces.map(({ trace }) => trace) },
  ]);
  await connection.run(
    `UPDATE agent_tasks t SET last_update = d.trace
     FROM incoming_traces d WHERE t.id = d.task_id AND d.number >= $1`,
    [set],
  );
}

/**
 * Has the leases that are still held last until then, in the transaction that is
 * open on the connection.
 */
export async function renewLeases(
  connection: Connection,
  leases: readonly Lease[],
  expiresAt: Date,
): Promise<HeartbeatResult> {
  const ids = JSON.stringify([...new Set(leases.map(({ id }) => id))]);
  const tasks = JSON.stringify(leases.map(({ taskId }) => taskId));
  const isHeld =
    `status = 'running' AND lease_id IN (SELECT unnest($1::JSON::UUID[]))
       AND id IN (SELECT unnest($2::JSON::UUID[]))`;
  await connection.run(
    `UPDATE agent_tasks SET lease_expires_at = $3::TIMESTAMPTZ
     WHERE ${isHeld}`,
    [ids, tasks, expiresAt.toISOString()],
  );
  const rows = await connection.json<{ id: string; wanted: boolean }[]>(
    `SELECT to_json(list({id: id, wanted: cancel_requested_at IS NULL}))
     FROM agent_tasks WHERE ${isHeld}`,
    [ids, tasks],
  ) ?? [];
  const unwanted = rows.filter(({ wanted }) => !wanted);
  return {
    held: new Set(rows.map(({ id }) => id)),
    cancelled: new Set(unwanted.map(({ id }) => id)),
  };
}
