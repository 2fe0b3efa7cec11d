/**
 * Reading what a claim leased.
 *
 * @module
 */

import type { ClaimOptions } from "../store.ts";
import type { AgentTask, ClaimedTask } from "../task.ts";
import { mergeTrace, parseTrace, stringifyJson } from "../trace.ts";
import { startedPatch } from "../transitions.ts";
import type { Connection } from "./connection.ts";
import { notifyStarted } from "./notifications.ts";
import { type TaskJson, taskLists } from "./rows.ts";
import { Stage } from "./stage.ts";

/** A part of the candidates. */
export interface Part {
  /** Holds for its rows; without a scan of the others. */
  readonly isIn: (start: string, end: string) => string;
  readonly start: number;
  readonly end: number;
}

/** For candidates by their numbers in the window. */
export const inWindow = (start: string, end: string) => `
  rowid IN (SELECT row FROM claim_window
            WHERE number >= ${start} AND number < ${end})`;

/** For rows that lie next to each other: a tenth faster, all in all. */
export const inRange = (start: string, end: string) =>
  `rowid >= ${start} AND rowid < ${end}`;

/** What the claim itself did not decide. */
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
  /** Null for the trace that the claim gave to a task without one. */
  readonly trace: string | null;
  readonly place: number;
  /** Microseconds since 1970: two tasks of one millisecond have an order. */
  readonly createdUs: number;
}

/** A list for each column: reading them so takes half the time of rows. */
type Columns = {
  readonly [name in keyof ClaimedRow]: readonly ClaimedRow[name][];
};

/** Options for {@linkcode readClaimed}. */
export interface ReadClaimedOptions extends ClaimOptions {
  readonly leaseId: string;
  readonly part: Part;
  /** How many tasks were leased. */
  readonly count: number;
}

/** Reads the tasks that were just leased, and notes in trace and history. */
export async function readClaimed(
  connection: Connection,
  options: ReadClaimedOptions,
): Promise<ClaimedTask[]> {
  const isInPart = options.part.isIn("$2", "$3");
  const claimed = await readLeased(connection, isInPart, options);
  if (claimed.length === options.count) return claimed;
  // An index on a changed column: DuckDB has put the rows elsewhere.
  const others = await readLeased(connection, `NOT (${isInPart})`, options);
  return [...claimed, ...others];
}

async function readLeased(
  connection: Connection,
  condition: string,
  options: ReadClaimedOptions,
): Promise<ClaimedTask[]> {
  const { leaseId, part, owner, now } = options;
  const isLeased = `lease_id = $1 AND ${condition}`;
  const values = [leaseId, part.start, part.end];
  const text = await connection.text(
    `SELECT to_json({${taskLists(CLAIMED_FIELDS)},
       trace: list(nullif(last_update, $4)),
       place: list(rowid),
       createdUs: list(coalesce(epoch_us(created_at), CASE
         WHEN created_at > 'epoch' THEN 1 ELSE -1 END * ${INFINITE_US}))})
     FROM agent_tasks WHERE ${isLeased} HAVING count(*) > 0`,
    [...values, stringifyJson(startedPatch(now))],
  );
  if (text === null) return [];
  const noting = connection.run(
    `INSERT INTO agent_task_events
       (task_id, kind, occurred_at, attempt, runner)
     SELECT id, 'started', $4::TIMESTAMPTZ, attempt, $5
     FROM agent_tasks WHERE ${isLeased} ORDER BY rowid`,
    [...values, now.toISOString(), owner],
  );
  // JavaScript reads the text meanwhile.
  const [{ claimed, traces }] = await Promise.all([
    claimedOf(text, { ...options, opening: Stage.of(connection).opening }),
    noting,
  ]);
  await writeTraces(connection, traces);
  await notifyStarted(connection, isLeased, values);
  return claimed;
}

interface NewTrace {
  readonly id: string;
  readonly trace: string;
}

/** The claimed tasks, and the traces that are not written yet. */
function claimedOf(
  text: string,
  { leaseId, owner, leaseMs, now, opening }: ReadClaimedOptions & {
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
    const attempt = at(columns.attempt);
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
