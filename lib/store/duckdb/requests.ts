/**
 * Stepping in: cancelling tasks, answering their questions, leaving notes.
 *
 * @module
 */

import { isFinal, TASK_STATES } from "../../task/task.ts";
import {
  amend,
  answer,
  approve,
  cancel,
  type Held,
  leaveNote,
} from "../../task/transitions.ts";
import type { Amendment } from "../../task/workspace.ts";
import type {
  AmendResult,
  AnswerResult,
  ApproveOptions,
  ApproveResult,
  CancelResult,
  NoteResult,
} from "../contract.ts";
import {
  amendResultOf,
  answerResultOf,
  approveResultOf,
  byPerson,
  cancelResultOf,
  noteResultOf,
} from "../decisions.ts";
import type { WrittenEvent } from "../changes.ts";
import type { Connection } from "./connection.ts";
import { readHeld, writeEvents, writeTransitions } from "./write.ts";

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

/** Approves tasks, in the transaction that is open on the connection. */
export async function approveTasks(
  connection: Connection,
  ids: readonly string[],
  options: ApproveOptions & { readonly at: Date },
): Promise<ApproveResult[]> {
  const held = await readHeld(connection, ids);
  const approved = [...held.values()]
    .filter((it) => approveResultOf(it, options) === "approved")
    .map((it) => approve(byPerson(it)));
  await writeTransitions(connection, approved, options.at);
  return ids.map((id) => approveResultOf(held.get(id.toLowerCase()), options));
}

/** Amends a task, in the transaction that is open on the connection. */
export async function amendTask(
  connection: Connection,
  id: string,
  { amendment, at }: { readonly amendment: Amendment; readonly at: Date },
): Promise<AmendResult> {
  const held = (await readHeld(connection, [id])).get(id.toLowerCase());
  const result = amendResultOf(held, at);
  if (held && result === "amended") {
    await writeTransitions(connection, [amend(byPerson(held), amendment)], at);
  }
  return result;
}

/** Leaves a note with a task, in the transaction that is open on the connection. */
export async function noteTask(
  connection: Connection,
  id: string,
  { text, at }: { readonly text: string; readonly at: Date },
): Promise<NoteResult> {
  const held = (await readHeld(connection, [id])).get(id.toLowerCase());
  const result = noteResultOf(held);
  if (held && result === "noted") {
    await writeTransitions(connection, [leaveNote(byPerson(held), text)], at);
  }
  return result;
}
