/**
 * Opens the store that the settings name. Only here is one chosen.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Diagnostics, Reader, Store } from "./contract.ts";
import { DuckDbDiagnostics } from "./duckdb/diagnose.ts";
import { assertDatabaseExists } from "./duckdb/explain.ts";
import { openDuckDbReader } from "./duckdb/reader.ts";
import { openDuckDbStore } from "./duckdb/store.ts";

/** Where the tasks are, and how long to wait for them. */
export interface StoreAddress {
  /** The path of a DuckDB file, or `:memory:`. */
  readonly dbPath: string;
  readonly dbWaitMs: number;
}

/** What {@linkcode openStore} goes by. */
export interface StoreSettings extends StoreAddress {
  /** How long to wait while it is opened. @default {dbWaitMs} */
  readonly openWaitMs?: number;
  /** Ends the wait while it is opened. */
  readonly signal?: AbortSignal;
  /** Keep the file from the first use to the end. */
  readonly exclusive: boolean;
  /** Fill HandsFree's table of notifications. */
  readonly notifications: boolean;
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
  settings: StoreSettings,
  log: Log,
): Promise<Store> {
  const { dbPath, dbWaitMs, mustExist } = settings;
  const { openWaitMs, signal, exclusive, notifications } = settings;
  if (mustExist && dbPath !== IN_MEMORY) assertDatabaseExists(dbPath);
  return await openDuckDbStore(dbPath, {
    waitMs: dbWaitMs,
    openWaitMs,
    signal,
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

/** What looks at the store from outside. Opens nothing yet. */
export function openDiagnostics(
  { dbPath, dbWaitMs }: StoreAddress,
  clock: Clock,
): Diagnostics {
  return new DuckDbDiagnostics(dbPath, { clock, waitMs: dbWaitMs });
}

/**
 * Opens the store to be read only, as soon as nobody writes to it.
 *
 * @throws {DatabaseError} where it can't be used.
 */
export function openReader(
  { dbPath, dbWaitMs }: StoreAddress,
  clock: Clock,
): Promise<Reader> {
  return openDuckDbReader(dbPath, { clock, waitMs: dbWaitMs });
}
