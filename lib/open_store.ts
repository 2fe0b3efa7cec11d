/**
 * Opens the store that the configuration names.
 *
 * @module
 */

import type { Config } from "./config.ts";
import { openDuckDbStore } from "./duckdb/store.ts";
import type { TaskFeed } from "./feed.ts";
import type { Log } from "./log.ts";
import type { TaskHistory } from "./history.ts";
import type { Outbox } from "./outbox.ts";
import type { TaskStore } from "./store.ts";
import type { TaskSets } from "./task_sets.ts";

/** A store with what commands, the HTTP API and webhooks need of it. */
export interface OpenStore extends TaskStore {
  readonly sets: TaskSets;
  readonly history: TaskHistory;
  readonly feed: TaskFeed;
  readonly outbox: Outbox;
}

/**
 * Opens the store.
 *
 * @throws {DatabaseError} where it can't be used.
 */
export function openStore(
  { dbPath, dbWaitMs, exclusive, notifications }: Config,
  log: Log,
): Promise<OpenStore> {
  return openDuckDbStore(dbPath, {
    waitMs: dbWaitMs,
    exclusive,
    notifications,
    onProblem: (message) => log.warning(message, { event: "database_warning" }),
    onCreate: () =>
      log.info(`Made a new database: ${dbPath}`, {
        event: "database_created",
        database: dbPath,
      }),
  });
}
