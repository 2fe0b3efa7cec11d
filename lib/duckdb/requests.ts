/**
 * What people ask of single tasks.
 *
 * @module
 */

import type { AnswerResult, CancelResult } from "../store.ts";
import { isFinal, isKnownState } from "../task.ts";
import { answer, cancel, type Held } from "../transitions.ts";
import type { Connection } from "./connection.ts";
import { applyTransitions } from "./record.ts";
import { leaseOf, TASK_ROW, taskOf, type TaskRow } from "./rows.ts";

/** Cancels a task in the transaction that is open on the connection. */
export async function cancelTask(
  connection: Connection,
  id: string,
  now: Date,
): Promise<CancelResult> {
  const held = await read(connection, id);
  if (!held) return "missing";
  const { state, leaseExpiresAt, attempt } = held.task;
  if (isFinal(state)) return "ended";
  if (!isKnownState(state)) return "unknown state";
  if (!leaseExpiresAt || leaseExpiresAt <= now) {
    await applyTransitions(connection, [cancel(held, now)], now);
    return "cancelled";
  }
  await connection.run(
    `UPDATE agent_tasks SET cancel_requested_at = $2::TIMESTAMPTZ
     WHERE id = $1::UUID`,
    [id, now.toISOString()],
  );
  await connection.run(
    `INSERT INTO agent_task_events (task_id, kind, occurred_at, attempt)
     VALUES ($1, 'cancel_requested', $2::TIMESTAMPTZ, $3)`,
    [id, now.toISOString(), attempt],
  );
  return "requested";
}

/** Answers a task in the transaction that is open on the connection. */
export async function answerTask(
  connection: Connection,
  { id, text, now }: { id: string; text: string; now: Date },
): Promise<AnswerResult> {
  const held = await read(connection, id);
  if (!held) return "missing";
  if (isFinal(held.task.state)) return "ended";
  if (held.task.state !== "needs_input") return "not asked";
  await applyTransitions(connection, [answer(held, now, text)], now);
  return "answered";
}

async function read(
  connection: Connection,
  id: string,
): Promise<Held | undefined> {
  const [row] = await connection.json<TaskRow[]>(
    `SELECT to_json(list(${TASK_ROW})) FROM agent_tasks WHERE id = $1::UUID`,
    [id],
  ) ?? [];
  return row && { task: taskOf(row), lease: leaseOf(row) };
}
