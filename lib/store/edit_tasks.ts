/**
 * Changing tasks that have not begun: the same in every store, in one transaction.
 *
 * @module
 */

import type { AgentTask, NewTask, TaskEdit } from "../task/task.ts";
import { mergeTrace, parseTrace } from "../task/trace.ts";
import type { Held } from "../task/transitions.ts";
import { approvalOf, APPROVED_KEY } from "../task/workspace.ts";
import type { EndedRow } from "./changes.ts";
import {
  type EditResult,
  inSets,
  type MoveResult,
  type MoveTarget,
} from "./contract.ts";
import { editResultOf } from "./decisions.ts";
import { lengthOf } from "./new_rows.ts";
import { fittingSets } from "./sets.ts";
import { type SettleStore, tellBatches } from "./settle.ts";
import { type Edit, editOf, prioritiesAt, replacementOf } from "./edits.ts";

/** What a store does for it. */
export interface EditStore {
  readonly at: Date;
  /** The batches that tasks were taken out of. */
  readonly left: Set<string>;
  /** The tasks that there are, by their ids; nobody else changes them. */
  held(ids: readonly string[]): Promise<ReadonlyMap<string, Held>>;
  /** The first tasks to run of a provider that have not begun, or the last ones. */
  end(
    provider: string,
    options: { readonly to: MoveTarget; readonly limit: number },
  ): Promise<readonly Pick<AgentTask, "id" | "priority">[]>;
  /** Writes what has changed, and says so in the history. */
  write(edits: readonly Edit[]): Promise<void>;
  /** Of each of these batches, the task that ended last. */
  lastEnded(names: readonly string[]): Promise<readonly EndedRow[]>;
  readonly settling: SettleStore;
}

/** Tasks whose texts, old and new, are mostly small enough to be read at once. */
const SET_SIZE = 100;

/** Changes a task. */
export async function editTask(
  store: EditStore,
  id: string,
  changes: TaskEdit,
): Promise<EditResult> {
  const held = (await store.held([id])).get(id.toLowerCase());
  const result = editResultOf(held, store.at);
  if (held && result === "edited") {
    const { task } = held;
    const { workspace } = changes;
    const fields = {
      ...changes,
      ...workspace && { workspace: { ...task.workspace, ...workspace } },
    };
    await write(store, [
      editOf(task, fields) && editOf(task, {
        ...fields,
        traceText: withoutApproval(task.traceText),
      }),
    ]);
    await tellLeft(store);
  }
  return result;
}

/** A person approved what it was, not what it is changed into. */
function withoutApproval(text: string | null): string | null {
  return approvalOf(parseTrace(text) ?? {})
    ? mergeTrace(text, { [APPROVED_KEY]: null })
    : text;
}

/**
 * Changes tasks into new ones. Returns the ids of those that had not begun. Which
 * batches have ended by it is to be told when all that is new is there.
 */
export async function replaceTasks(
  store: EditStore,
  tasks: ReadonlyMap<string, NewTask>,
): Promise<ReadonlySet<string>> {
  const replaced = await inSets([...tasks.keys()], SET_SIZE, async (ids) => {
    const held = [...(await store.held(ids)).values()]
      .filter((it) => editResultOf(it, store.at) === "edited");
    const edits = held.map(({ task: before }) => {
      const task = tasks.get(before.id);
      return task && editOf(before, replacementOf(task));
    });
    await write(store, edits);
    return held.map(({ task }) => task.id);
  });
  return new Set(replaced);
}

/**
 * Says in the history which of the batches that were left have ended by it, at the
 * task that ended last. At the end.
 */
export async function tellLeft(
  { left, settling, lastEnded }: EditStore,
): Promise<void> {
  if (left.size > 0) await tellBatches(settling, await lastEnded([...left]));
}

/** Moves tasks to the beginning, or the end, of what their providers are to run. */
export async function moveTasks(
  store: EditStore,
  ids: readonly string[],
  to: MoveTarget,
): Promise<MoveResult[]> {
  const held = await store.held(ids);
  const results = ids.map((id): MoveResult => {
    const result = editResultOf(held.get(id.toLowerCase()), store.at);
    return result === "edited" ? "moved" : result;
  });
  const moved = ids.flatMap((id, index) => {
    const it = held.get(id.toLowerCase());
    return it && results[index] === "moved" ? it.task : [];
  });
  const byProvider = Map.groupBy(moved, ({ provider }) => provider);
  for (const [provider, tasks] of byProvider) {
    const limit = tasks.length + 1;
    const priorities = prioritiesAt(
      { to, tasks: await store.end(provider, { to, limit }) },
      tasks.map(({ id }) => id),
    );
    const edits = tasks.map((task) =>
      editOf(task, { priority: priorities.get(task.id) })
    );
    await write(store, edits);
  }
  return results;
}

async function write(
  store: EditStore,
  edits: readonly (Edit | undefined)[],
): Promise<void> {
  const changed = edits.filter((edit) => edit !== undefined);
  for (const set of fittingSets(changed, ({ row }) => lengthOf(row))) {
    await store.write(set);
    for (const { leftBatch } of set) {
      if (leftBatch !== undefined) store.left.add(leftBatch);
    }
  }
}
