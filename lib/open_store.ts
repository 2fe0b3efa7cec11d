/**
 * Opens the store that the configuration names.
 *
 * @module
 */

import type { Config } from "./config.ts";
import { openDuckDbStore } from "./duckdb/store.ts";
import type { TaskFeed } from "./feed.ts";
import type { Log } from "./log.ts";
import type { Outbox } from "./outbox.ts";
import type { TaskStore } from "./store.ts";

/** A store that others can watch, with what webhooks need of it. */
export type OpenStore = TaskStore & {
  readonly feed: TaskFeed;
  readonly outbox: Outbox;
};

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
