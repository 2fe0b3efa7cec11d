/**
 * What people ask of tasks.
 *
 * @module
 */

import type { AnswerResult, CancelResult } from "../contract.ts";
import { isFinal, isKnownState } from "../../task/task.ts";
import { answer, cancel, type Held } from "../../task/transitions.ts";
import type { Connection } from "./connection.ts";
import { readHeld } from "./read_tasks.ts";
import { applyTransitions } from "./record.ts";

/**
 * Cancels tasks in the transaction that is open on the connection. Returns what
 * came of each, in their order.
 */
export async function cancelTasks(
  connection: Connection,
  ids: readonly string[],
  now: Date,
): Promise<CancelResult[]> {
  const held = await readHeld(connection, ids);
  const having = (result: CancelResult) =>
    [...held.values()].filter((it) => cancelResultOf(it, now) === result);
  const ended = having("cancelled").map((it) => cancel(it, now));
  await applyTransitions(connection, ended, now);
  await requestCancel(connection, having("requested"), now);
  return ids.map((id) => cancelResultOf(held.get(id.toLowerCase()), now));
}

function cancelResultOf(held: Held | undefined, now: Date): CancelResult {
  if (!held) return "missing";
  const { state, leaseExpiresAt } = held.task;
  if (isFinal(state)) return "ended";
  if (!isKnownState(state)) return "unknown state";
  return leaseExpiresAt && leaseExpiresAt > now ? "requested" : "cancelled";
}

/** Their runners find out when they renew their leases. */
async function requestCancel(
  connection: Connection,
  held: readonly Held[],
  now: Date,
): Promise<void> {
  if (held.length === 0) return;
  const values = [
    JSON.stringify(held.map(({ task }) => task.id)),
    now.toISOString(),
  ];
  const isAsked = "id IN (SELECT unnest($1::JSON::UUID[]))";
  await connection.run(
    `UPDATE agent_tasks SET cancel_requested_at = $2::TIMESTAMPTZ
     WHERE ${isAsked}`,
    values,
  );
  await connection.run(
    `INSERT INTO agent_task_events (task_id, kind, occurred_at, attempt)
     SELECT id, 'cancel_requested', $2::TIMESTAMPTZ, coalesce(attempt, 0)
     FROM agent_tasks WHERE ${isAsked}`,
    values,
  );
}

/**
 * Gives tasks the same answer in the transaction that is open on the connection.
 * Returns what came of each, in their order.
 */
export async function answerTasks(
  connection: Connection,
  { ids, text, now }: { ids: readonly string[]; text: string; now: Date },
): Promise<AnswerResult[]> {
  const held = await readHeld(connection, ids);
  const answered = [...held.values()]
    .filter((it) => answerResultOf(it) === "answered")
    .map((it) => answer(it, now, text));
  await applyTransitions(connection, answered, now);
  return ids.map((id) => answerResultOf(held.get(id.toLowerCase())));
}

function answerResultOf(held: Held | undefined): AnswerResult {
  if (!held) return "missing";
  if (isFinal(held.task.state)) return "ended";
  return held.task.state === "needs_input" ? "answered" : "not asked";
}
