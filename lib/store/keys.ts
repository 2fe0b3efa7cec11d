/**
 * Keys: at most one task with a key has not ended. What that means for new tasks, as
 * their keys' tasks stand: the same in every store.
 *
 * @module
 */

import type { NewTask } from "../task/task.ts";
import type { KeyResult } from "./id_list.ts";
import { type NewRow, newRowOf } from "./new_rows.ts";

/** The task that has a key: one that has not ended, or else the newest. */
export interface KeyHolder {
  readonly key: string;
  readonly id: string;
  readonly hasEnded: boolean;
  /** It has not begun, and nobody is about to. */
  readonly isWaiting: boolean;
  /** How long ago it was created, in milliseconds. */
  readonly ageMs: number;
}

/** What becomes of a set of new tasks. */
export interface Sorted {
  /** The id that each has, in their order, be it new or another's. */
  readonly ids: readonly string[];
  /** Which of them are another's, by their place. */
  readonly known: ReadonlyMap<number, KeyResult>;
  /** What is to be added. */
  readonly rows: readonly NewRow[];
}

/** What a store does for {@linkcode Keys}, in the transaction of the creation. */
export interface KeyStore {
  /**
   * Finds the tasks that have these keys, and keeps others from giving tasks one of
   * them until the transaction ends.
   */
  find(keys: readonly string[]): Promise<readonly KeyHolder[]>;
  /**
   * Changes tasks that have not begun into new ones, by their ids. Returns the ids
   * of those that it has changed: others may have begun meanwhile.
   */
  replace(tasks: ReadonlyMap<string, NewTask>): Promise<ReadonlySet<string>>;
}

/** The keys of one creation, whose tasks come set by set. */
export class Keys {
  readonly #ids = new Map<string, string>();

  /** Sorts the next set, and replaces those of it that are to be replaced. */
  async sort(tasks: readonly NewTask[], store: KeyStore): Promise<Sorted> {
    const all = tasks.map(newRowOf);
    const keys = new Set(all.flatMap(({ key }) => key ?? []));
    if (keys.size === 0) {
      return { ids: all.map(({ id }) => id), known: new Map(), rows: all };
    }
    const found = await store.find([...keys]);
    const holders = new Map(found.map((holder) => [holder.key, holder]));
    const known = new Map<number, KeyResult>();
    const replacing = new Map<string, NewTask>();
    const ids = all.map(({ id, key }, index) => {
      const task = tasks[index];
      if (key === null || !task) return id;
      const first = this.#ids.get(key);
      const holder = holders.get(key);
      const other = first ??
        (holder && isTaken(holder, task) ? holder.id : undefined);
      this.#ids.set(key, other ?? id);
      // Its own id: that is refused as it is without a key.
      if (other === undefined || other === id) return id;
      known.set(index, "existing");
      if (first === undefined && task.replaces && holder?.isWaiting) {
        replacing.set(other, task);
        known.set(index, "replaced");
      }
      return other;
    });
    if (replacing.size > 0) {
      const replaced = await store.replace(replacing);
      for (const index of known.keys()) {
        if (!replaced.has(ids[index] ?? "")) known.set(index, "existing");
      }
    }
    const rows = all.filter((_, index) => !known.has(index));
    return { ids, known, rows };
  }
}

function isTaken(
  { hasEnded, ageMs }: KeyHolder,
  { keyForMs }: NewTask,
): boolean {
  return !hasEnded || keyForMs !== undefined && ageMs < keyForMs;
}

/** A task that is to be repeated, and the id of what repeats it. */
export interface Repeated {
  readonly id: string;
  readonly key: string | null;
  readonly newId: string;
}

/**
 * Which tasks can't be repeated, since another has their key: that one's id, by
 * theirs. Of several with one key, the first can.
 */
export function takenKeys(
  again: readonly Repeated[],
  holders: readonly KeyHolder[],
): ReadonlyMap<string, string> {
  const open = new Map(
    holders.flatMap(({ key, id, hasEnded }) => hasEnded ? [] : [[key, id]]),
  );
  const taken = new Map<string, string>();
  for (const { id, key, newId } of again) {
    if (key === null) continue;
    const other = open.get(key);
    if (other === undefined) open.set(key, newId);
    else taken.set(id, other);
  }
  return taken;
}
