/**
 * Opens the store that the configuration names.
 *
 * @module
 */

import type { Config } from "./config.ts";
import { openDuckDbStore } from "./duckdb/store.ts";
import type { Log } from "./log.ts";
import type { TaskHistory } from "./history.ts";
import type { TaskStore } from "./store.ts";
import type { TaskSets } from "./task_sets.ts";

/** A store with what people ask of it beyond single tasks. */
export interface OpenStore extends TaskStore {
  readonly sets: TaskSets;
  readonly history: TaskHistory;
}

/**
 * Opens the store.
 *
 * @throws {DatabaseError} where it can't be used.
 */
export function openStore(
  { dbPath, dbWaitMs, exclusive }: Config,
  log: Log,
): Promise<OpenStore> {
  return openDuckDbStore(dbPath, {
    waitMs: dbWaitMs,
    exclusive,
    onCreate: () => log.info(`Made a new database: ${dbPath}`),
  });
}
