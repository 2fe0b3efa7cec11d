/**
 * Tasks in a DuckDB file. Its folder has all the SQL there is.
 *
 * @module
 */

import { type Clock, systemClock } from "../../base/clock.ts";
import type { Store } from "../contract.ts";
import { duckDbAdmin } from "./admin.ts";
import { DuckDbArchive } from "./archive.ts";
import { type Connect, connectDuckDb } from "./connection.ts";
import { Database, type DatabaseOptions } from "./database.ts";
import { DuckDbEvents } from "./events.ts";
import {
  attachNotifications,
  Notifications,
  NotificationsError,
} from "./notifications.ts";
import { DuckDbOutbox } from "./outbox.ts";
import { DuckDbQueue } from "./queue.ts";
import { duckDbSchedules } from "./schedules.ts";
import { hasLeases } from "./grace.ts";
import { ensureSchema, upgradeSchema } from "./schema.ts";

/** Options for {@linkcode openDuckDbStore}. */
export interface DuckDbStoreOptions
  extends Pick<DatabaseOptions, "exclusive" | "waitMs"> {
  /** How long to wait for the file while it is opened. @default {waitMs} */
  readonly openWaitMs?: number;
  /** Ends the wait while it is opened. */
  readonly signal?: AbortSignal;
  /** @default {systemClock} */
  readonly clock?: Clock;
  /** @default {connectDuckDb} */
  readonly connect?: Connect;
  /** Called when the tables were made, for the first time. */
  readonly onCreate?: () => void;
  /** Fill HandsFree's table of notifications. @default {true} */
  readonly notifications?: boolean;
  /** Called with what a person should know of the database. */
  readonly onProblem?: (message: string) => void;
}

/**
 * Opens the store in a DuckDB file, or in memory for `:memory:`. Makes the file
 * and the tables where there are none.
 *
 * @throws {DatabaseError} where the file can't be used.
 */
export async function openDuckDbStore(
  path: string,
  options: DuckDbStoreOptions = {},
): Promise<Store> {
  const {
    clock = systemClock,
    connect = connectDuckDb,
    onCreate,
    notifications: isNotifying = true,
    onProblem = () => {},
    openWaitMs = options.waitMs,
    signal,
    ...rest
  } = options;
  const notifications = new Notifications({ onProblem });
  const database = new Database(path, { clock, connect }, {
    ...rest,
    onOpen: async (connection) => {
      const found = await ensureSchema(connection);
      if (found === "outdated") return () => upgradeSchema(path);
      if (found === "created") onCreate?.();
      if (isNotifying) attachNotifications(connection, notifications);
      return undefined;
    },
    isWorthAnother: (error) => error instanceof NotificationsError,
  });
  const store: Store = {
    queue: new DuckDbQueue(database, { onProblem }),
    admin: duckDbAdmin(database),
    events: new DuckDbEvents(database),
    outbox: new DuckDbOutbox(database),
    schedules: duckDbSchedules(database),
    archive: new DuckDbArchive(database),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
  try {
    // Whoever opens a store is told at once where that can't be used.
    await database.transaction(async (connection, now) => {
      // Who has leases must be able to renew them.
      const isUsed = options.exclusive === true &&
        await hasLeases(connection, { besides: "", now });
      if (isUsed) database.share();
    }, { waitMs: openWaitMs, signal });
  } catch (error) {
    await store[Symbol.asyncDispose]();
    throw error;
  }
  return store;
}
