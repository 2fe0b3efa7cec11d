/**
 * Stepping in: cancelling tasks, and answering their questions.
 *
 * @module
 */

import { isFinal, isKnownState, TASK_STATES } from "../../task/task.ts";
import { answer, cancel, type Held } from "../../task/transitions.ts";
import type { AnswerResult, CancelResult } from "../contract.ts";
import type { Connection } from "./connection.ts";
import {
  readHeld,
  writeEvents,
  writeTransitions,
  type WrittenEvent,
} from "./write.ts";

/** Holds for the tasks that {@linkcode cancelTasks} ends or asks to end. */
export const IS_CANCELLABLE = `status IN ('${
  TASK_STATES.filter((state) => !isFinal(state)).join("', '")
}')`;

/**
 * Cancels tasks in the transaction that is open on the connection. Returns what
 * came of each, in their order.
 */
export async function cancelTasks(
  connection: Connection,
  ids: readonly string[],
  at: Date,
): Promise<CancelResult[]> {
  const held = await readHeld(connection, ids);
  const having = (result: CancelResult) =>
    [...held.values()].filter((it) => cancelResultOf(it, at) === result);
  const cancelled = having("cancelled").map((it) => cancel(byPerson(it)));
  await writeTransitions(connection, cancelled, at);
  await requestCancel(connection, having("requested"), at);
  return ids.map((id) => cancelResultOf(held.get(id.toLowerCase()), at));
}

/** So that the history does not say that the lease's runner did it. */
function byPerson({ task, lease }: Held): Held {
  return { task, lease: lease.id === null ? lease : { ...lease, owner: "" } };
}

function cancelResultOf(held: Held | undefined, at: Date): CancelResult {
  if (!held) return "missing";
  const { state, leaseExpiresAt } = held.task;
  if (isFinal(state)) return "ended";
  if (!isKnownState(state)) return "unknown state";
  // What was not begun is only held: its runner learns that it lost the lease.
  const isRun = state === "running" && leaseExpiresAt && leaseExpiresAt > at;
  return isRun ? "requested" : "cancelled";
}

/** Their runners find out when they renew their leases. */
async function requestCancel(
  connection: Connection,
  held: readonly Held[],
  at: Date,
): Promise<void> {
  if (held.length === 0) return;
  await connection.run(
    `UPDATE agent_tasks SET cancel_requested_at = $2::TIMESTAMPTZ
     WHERE id IN (SELECT unnest($1::JSON::UUID[]))`,
    [JSON.stringify(held.map(({ task }) => task.id)), at.toISOString()],
  );
  const events = held.map(({ task: { id, attempt } }): WrittenEvent => (
    { id, kind: "cancel_requested", attempt }
  ));
  await writeEvents(connection, events, at);
}

/**
 * Gives tasks the same answer in the transaction that is open on the connection.
 * Returns what came of each, in their order.
 */
export async function answerTasks(
  connection: Connection,
  ids: readonly string[],
  { text, at }: { readonly text: string; readonly at: Date },
): Promise<AnswerResult[]> {
  const held = await readHeld(connection, ids);
  const answered = [...held.values()]
    .filter((it) => answerResultOf(it) === "answered")
    .map((it) => answer(it, text));
  await writeTransitions(connection, answered, at);
  return ids.map((id) => answerResultOf(held.get(id.toLowerCase())));
}

function answerResultOf(held: Held | undefined): AnswerResult {
  if (!held) return "missing";
  if (isFinal(held.task.state)) return "ended";
  return held.task.state === "needs_input" ? "answered" : "not asked";
}
