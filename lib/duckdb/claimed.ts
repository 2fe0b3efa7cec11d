/**
 * Reading what a claim leased.
 *
 * @module
 */

import type { ClaimOptions } from "../store.ts";
import type { ClaimedTask } from "../task.ts";
import { mergeTrace, parseTrace, stringifyJson } from "../trace.ts";
import { startedPatch } from "../transitions.ts";
import type { Connection } from "./connection.ts";
import { RUN_ORDER, taskOf, type TaskRow } from "./rows.ts";

/** Holds for the rows of a part of the window; without a scan of the others. */
export const inWindow = (start: string, end: string) => `
  rowid IN (SELECT row FROM claim_window
            WHERE position >= ${start} AND position < ${end})`;

/** What the claim itself did not decide. */
const CLAIMED_FIELDS = `
  id: id, user_id: user_id, provider: provider, repo_full_name: repo_full_name,
  issue_number: issue_number, pr_number: pr_number, instruction: instruction,
  last_update: nullif(last_update, $2), priority: coalesce(priority, 0),
  attempt: attempt, max_attempts: max_attempts, timeout_ms: timeout_ms,
  created_at: epoch_ms(created_at), place: rowid`;

type ClaimedRow =
  & { readonly place: number }
  & Omit<
    TaskRow,
    | "status"
    | "run_at"
    | "lease_id"
    | "lease_owner"
    | "lease_expires_at"
    | "cancel_requested_at"
    | "updated_at"
  >;

/** Options for {@linkcode readClaimed}. */
export interface ReadClaimedOptions extends ClaimOptions {
  readonly leaseId: string;
  /** The part of the window that was leased. */
  readonly start: number;
  readonly end: number;
}

/** Reads the tasks that were just leased, and notes in trace and history. */
export async function readClaimed(
  connection: Connection,
  { leaseId, start, end, owner, leaseMs, now }: ReadClaimedOptions,
): Promise<ClaimedTask[]> {
  const patch = startedPatch(now);
  const started = stringifyJson(patch);
  const rows = await connection.json<ClaimedRow[]>(
    `SELECT to_json(list({${CLAIMED_FIELDS}} ORDER BY ${RUN_ORDER}))
     FROM agent_tasks WHERE lease_id = $1 AND ${inWindow("$3", "$4")}`,
    [leaseId, started, start, end],
  ) ?? [];
  const merged: { id: string; trace: string }[] = [];
  const claimed = rows.map((row): ClaimedTask => {
    let last_update = row.last_update ?? started;
    if (row.last_update !== null && !wasStarted(row.last_update)) {
      last_update = mergeTrace(row.last_update, patch);
      merged.push({ id: row.id, trace: last_update });
    }
    const task = taskOf({
      ...row,
      last_update,
      status: "running",
      run_at: null,
      lease_id: leaseId,
      lease_owner: owner,
      lease_expires_at: now.getTime() + leaseMs,
      cancel_requested_at: null,
      updated_at: now.getTime(),
    });
    const { id, attempt, place } = row;
    return { task, lease: { taskId: id, id: leaseId, owner, attempt, place } };
  });
  await writeTraces(connection, merged);
  await connection.run(
    `INSERT INTO agent_task_events
       (task_id, kind, occurred_at, attempt, runner)
     SELECT id, 'started', $2::TIMESTAMPTZ, attempt, $3
     FROM agent_tasks WHERE lease_id = $1 AND ${inWindow("$4", "$5")}`,
    [leaseId, now.toISOString(), owner, start, end],
  );
  return claimed;
}

/** A later attempt keeps the first start's time. */
function wasStarted(traceText: string): boolean {
  return traceText.includes("auto_started_at") &&
    parseTrace(traceText)?.auto_started_at !== undefined;
}

async function writeTraces(
  connection: Connection,
  traces: readonly { id: string; trace: string }[],
): Promise<void> {
  if (traces.length === 0) return;
  await connection.run(
    "CREATE OR REPLACE TEMP TABLE incoming_traces (task_id UUID, trace TEXT)",
  );
  await connection.append("incoming_traces", [
    { type: "text", values: traces.map(({ id }) => id) },
    { type: "text", values: traces.map(({ trace }) => trace) },
  ]);
  await connection.run(
    `UPDATE agent_tasks t SET last_update = d.trace
     FROM incoming_traces d WHERE t.id = d.task_id`,
  );
}
