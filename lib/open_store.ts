/**
 * Opens the store that the configuration names.
 *
 * @module
 */

import type { Config } from "./config.ts";
import { openDuckDbStore } from "./duckdb/store.ts";
import type { TaskFeed } from "./feed.ts";
import type { Log } from "./log.ts";
import type { TaskStore } from "./store.ts";

/** A store that others can watch. */
export type OpenStore = TaskStore & { readonly feed: TaskFeed };

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
