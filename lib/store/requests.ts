/**
 * Stepping in: cancelling tasks, approving them, answering their questions, leaving
 * notes. The same in every store, in the transaction that is open.
 *
 * @module
 */

import { isFinal, TASK_STATES, type Transition } from "../task/task.ts";
import {
  amend,
  answer,
  approve,
  cancel,
  type Held,
  leaveNote,
} from "../task/transitions.ts";
import type { Amendment } from "../task/workspace.ts";
import type { WrittenEvent } from "./changes.ts";
import type {
  AmendResult,
  AnswerResult,
  ApproveOptions,
  ApproveResult,
  CancelResult,
  NoteResult,
} from "./contract.ts";
import {
  amendResultOf,
  answerResultOf,
  approveResultOf,
  byPerson,
  cancelResultOf,
  noteResultOf,
} from "./decisions.ts";

/** What a store does for it, in the transaction that is open. */
export interface RequestStore {
  /** The store's time. */
  readonly at: Date;
  /** The tasks that there are, by their ids. */
  held(ids: readonly string[]): Promise<ReadonlyMap<string, Held>>;
  write(transitions: readonly Transition[]): Promise<unknown>;
  /** Marks tasks to be cancelled by their runners. */
  mark(ids: readonly string[]): Promise<void>;
  tell(events: readonly WrittenEvent[]): Promise<void>;
}

/** Holds for the tasks that {@linkcode cancelTasks} ends or asks to end. */
export const IS_CANCELLABLE = `status IN ('${
  TASK_STATES.filter((state) => !isFinal(state)).join("', '")
}')`;

/** Cancels tasks. Returns what came of each, in their order; so do the others. */
export async function cancelTasks(
  store: RequestStore,
  ids: readonly string[],
): Promise<CancelResult[]> {
  const { at } = store;
  const held = await store.held(ids);
  const having = (result: CancelResult) =>
    [...held.values()].filter((it) => cancelResultOf(it, at) === result);
  await store.write(having("cancelled").map((it) => cancel(byPerson(it))));
  // Their runners find out when they renew their leases.
  const requested = having("requested");
  if (requested.length > 0) {
    await store.mark(requested.map(({ task }) => task.id));
    await store.tell(requested.map(({ task: { id, attempt } }) => (
      { id, kind: "cancel_requested", attempt }
    )));
  }
  return ids.map((id) => cancelResultOf(held.get(id.toLowerCase()), at));
}

/** Gives tasks the same answer. */
export async function answerTasks(
  store: RequestStore,
  ids: readonly string[],
  text: string,
): Promise<AnswerResult[]> {
  const held = await store.held(ids);
  const answered = [...held.values()]
    .filter((it) => answerResultOf(it) === "answered");
  await store.write(answered.map((it) => answer(it, text)));
  return ids.map((id) => answerResultOf(held.get(id.toLowerCase())));
}

/** Approves what tasks ask to have approved. */
export async function approveTasks(
  store: RequestStore,
  ids: readonly string[],
  { head }: ApproveOptions,
): Promise<ApproveResult[]> {
  const options = { head, at: store.at };
  const held = await store.held(ids);
  const approved = [...held.values()]
    .filter((it) => approveResultOf(it, options) === "approved");
  await store.write(approved.map((it) => approve(byPerson(it))));
  return ids.map((id) => approveResultOf(held.get(id.toLowerCase()), options));
}

/** Notes what came of a task's changes. */
export async function amendTask(
  store: RequestStore,
  id: string,
  amendment: Amendment,
): Promise<AmendResult> {
  const held = (await store.held([id])).get(id.toLowerCase());
  const result = amendResultOf(held, store.at);
  if (held && result === "amended") {
    await store.write([amend(byPerson(held), amendment)]);
  }
  return result;
}

/** Leaves a note with a task. */
export async function noteTask(
  store: RequestStore,
  id: string,
  text: string,
): Promise<NoteResult> {
  const held = (await store.held([id])).get(id.toLowerCase());
  const result = noteResultOf(held);
  if (held && result === "noted") {
    await store.write([leaveNote(byPerson(held), text)]);
  }
  return result;
}
