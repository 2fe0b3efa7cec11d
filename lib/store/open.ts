/**
 * Opens the store that the configuration names.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { assertDatabaseExists } from "./duckdb/explain.ts";
import { openDuckDbStore } from "./duckdb/store.ts";
import type { TaskFeed } from "./feed.ts";
import type { Log } from "../base/log.ts";
import type { TaskHistory } from "./history.ts";
import type { Outbox } from "./outbox.ts";
import type { TaskStore } from "./contract.ts";
import type { TaskSets } from "./task_sets.ts";

/** A store with what commands, the HTTP API and webhooks need of it. */
export interface OpenStore extends TaskStore {
  readonly sets: TaskSets;
  readonly history: TaskHistory;
  readonly feed: TaskFeed;
  readonly outbox: Outbox;
}

/** What {@linkcode openStore} goes by. */
export interface StoreSettings
  extends Pick<Config, "dbPath" | "dbWaitMs" | "exclusive" | "notifications"> {
  /** Whether the database must be there already. @default {false} */
  readonly mustExist?: boolean;
}

/** Lives as long as the process: it is always new. */
const IN_MEMORY = ":memory:";

/**
 * Opens the store.
 *
 * @throws {DatabaseError} where it can't be used.
 */
export async function openStore(
  { dbPath, dbWaitMs, exclusive, notifications, mustExist }: StoreSettings,
  log: Log,
): Promise<OpenStore> {
  if (mustExist && dbPath !== IN_MEMORY) assertDatabaseExists(dbPath);
  return await openDuckDbStore(dbPath, {
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
