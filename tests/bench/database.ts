/**
 * Databases to measure with. This process never opens one, so it may copy them.
 *
 * @module
 */

import type { Bench } from "./bench.ts";
import { askHelper } from "./child.ts";

const HELPER = "database_child.ts";

/** A database file that is gone when it is disposed of. */
export class Database implements Disposable {
  constructor(readonly path: string) {}

  [Symbol.dispose](): void {
    for (const path of [this.path, `${this.path}.wal`]) {
      try {
        Deno.removeSync(path);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
  }
}

const originals = new Map<number, string>();

/** A new database in which so many tasks wait, all of it on the disk. */
export async function databaseWith(
  bench: Bench,
  tasks: number,
): Promise<Database> {
  let original = originals.get(tasks);
  if (original === undefined) {
    original = bench.newPath(`-${tasks}.duckdb`);
    await askHelper(HELPER, ["fill", original, String(tasks)]);
    originals.set(tasks, original);
  }
  const path = bench.newPath(".duckdb");
  Deno.copyFileSync(original, path);
  await bench.settle();
  return new Database(path);
}

/** What the bare SQL took. */
export interface Floor {
  /** Claims and completions alone. */
  readonly updatesMs: number;
  /** The history rows beside them, in the same transactions. */
  readonly historyMs: number;
}

/** Claims and completes all tasks by SQL alone. */
export function runFloor({ path }: Database): Promise<Floor> {
  return askHelper(HELPER, ["floor", path]);
}

/** A task that another process has committed. */
export interface Written {
  readonly id: string;
  /** From the wish to open the file until it was open. */
  readonly openMs: number;
  /** Wall clock, when COMMIT had returned. */
  readonly committedAt: number;
  /** Wall clock, when the file was free for others again. */
  readonly closedAt: number;
}

/** Commits one task after the other, about `everyMs` apart. */
export function writeTasks(
  { path }: Database,
  { count, everyMs }: { count: number; everyMs: number },
): Promise<Written[]> {
  return askHelper(HELPER, ["write", path, String(count), String(everyMs)]);
}

/** When the history says that each task was started, by the wall clock. */
export async function startedTimes(
  { path }: Database,
): Promise<ReadonlyMap<string, number>> {
  return new Map(
    await askHelper<[string, number][]>(HELPER, ["started", path]),
  );
}
