/**
 * What follows where tasks end: those behind them end too, or may be claimed, and
 * batches are over. The same in every store, in one transaction.
 *
 * @module
 */

import type { Transition } from "../task/task.ts";
import { endBehind } from "../task/transitions.ts";
import type { EndedRow, WrittenEvent } from "./changes.ts";
import type { Settling } from "./dependencies.ts";

/** What a store does for it, in the transaction that is open. */
export interface SettleStore {
  /** Applies transitions, writes what they make, and says what ends by them. */
  apply(transitions: readonly Transition[]): Promise<readonly EndedRow[]>;
  /** What is to be written of those behind tasks that have ended. */
  behind(ids: readonly string[]): Promise<Settling>;
  /** Lets tasks be claimed. */
  free(ids: readonly string[]): Promise<void>;
  /** What the history is to say of the batches that have ended with these tasks. */
  endedBatches(ended: readonly EndedRow[]): Promise<readonly WrittenEvent[]>;
  tell(events: readonly WrittenEvent[]): Promise<void>;
}

/**
 * Sees to all that follows where these tasks have ended. Says whether any may be
 * claimed now.
 */
export async function settleBehind(
  store: SettleStore,
  ended: readonly EndedRow[],
): Promise<boolean> {
  const settling = await store.behind(ended.map(({ id }) => id));
  return await settle(store, settling, ended);
}

/**
 * Ends what waits for tasks that failed, and lets the others be claimed. Says whether
 * there are any.
 *
 * @param ended what has ended before, of which batches are not told yet
 */
export async function settle(
  store: SettleStore,
  settling: Settling,
  ended: readonly EndedRow[] = [],
): Promise<boolean> {
  const all = [...ended];
  let isAny = false;
  for (let next = settling;;) {
    if (next.free.length > 0) await store.free(next.free);
    isAny ||= next.free.length > 0;
    if (next.endings.size === 0) break;
    const now = await store.apply(
      [...next.endings].map(([id, ending]) => endBehind(id, ending)),
    );
    for (const row of now) all.push(row);
    // What runs though these failed.
    next = await store.behind(now.map(({ id }) => id));
  }
  // After all: what has just ended may be the last of a batch.
  await tellBatches(store, all);
  return isAny;
}

/** Says in the history which batches have ended with these tasks. */
export async function tellBatches(
  store: Pick<SettleStore, "endedBatches" | "tell">,
  ended: readonly EndedRow[],
): Promise<void> {
  const events = await store.endedBatches(ended);
  if (events.length > 0) await store.tell(events);
}
