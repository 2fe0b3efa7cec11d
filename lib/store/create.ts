/**
 * Adding tasks in sets: the same in both databases, but for what finds and writes
 * their rows.
 *
 * @module
 */

import type { NewTasks } from "./contract.ts";
import { NewDependencies, type Settling } from "./dependencies.ts";
import { type EditStore, replaceTasks, tellLeft } from "./edit_tasks.ts";
import { IdList } from "./id_list.ts";
import { type KeyHolder, Keys } from "./keys.ts";
import { lengthOf, type NewRow, oneAhead } from "./new_rows.ts";
import { fittingSets } from "./sets.ts";
import { settle } from "./settle.ts";

/** What a database does for it, in the transaction that is open. */
export interface CreateStore {
  readonly edits: EditStore;
  /**
   * Finds the tasks that have these keys, and keeps others from giving tasks one of
   * them until the transaction ends.
   */
  findKeyHolders(keys: readonly string[]): Promise<readonly KeyHolder[]>;
  /** Writes rows whose texts fit into memory at once. */
  insert(rows: readonly NewRow[]): Promise<void>;
  /**
   * Writes what new tasks wait for.
   *
   * @throws {DependencyError} where a task is not there, or they wait in a circle.
   */
  addDependencies(added: NewDependencies): Promise<void>;
  /** What is to be written of new tasks that wait. */
  settlingOf(ids: readonly string[]): Promise<Settling>;
}

/** What else is done in the transaction of a creation. */
export interface Beside<Connection> {
  /** Where it throws, nothing is added. */
  readonly before?: (connection: Connection, at: Date) => Promise<void>;
  /** What ends tasks: a batch that gets another one has not ended. */
  readonly after?: (connection: Connection, at: Date) => Promise<void>;
}

/** Adds tasks, and returns their ids in the same order. */
export async function createIn(
  store: CreateStore,
  incoming: NewTasks,
  { after }: { readonly after: () => Promise<void> | undefined },
): Promise<IdList> {
  const { edits } = store;
  const { settling } = edits;
  const ids = new IdList();
  const dependencies = new NewDependencies();
  const keys = new Keys();
  for await (const tasks of oneAhead(incoming.sets())) {
    const { rows, ...sorted } = await keys.sort(tasks, {
      find: (keys) => store.findKeyHolders(keys),
      replace: (tasks) => replaceTasks(edits, tasks),
    });
    for (const set of fittingSets(rows, lengthOf)) {
      await store.insert(set);
      await settling.tell(
        set.map(({ id }) => ({ id, kind: "created", attempt: 0 })),
      );
    }
    dependencies.add(tasks, sorted);
    ids.add(sorted.ids, sorted.known);
  }
  await after();
  const { waiting } = dependencies;
  if (waiting.length > 0) {
    await store.addDependencies(dependencies);
    await settle(settling, await store.settlingOf(waiting));
  }
  await tellLeft(edits);
  return ids;
}
