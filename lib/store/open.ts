/**
 * Opens the store that the settings name. Only here is one chosen, and only that
 * one is loaded.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { isPostgresAddress, shownDatabase } from "../base/database_address.ts";
import { DatabaseError, UsageError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { partial } from "./archive.ts";
import type { Diagnostics, Reader, Store } from "./contract.ts";

/** Where the tasks are, and how long to wait for them. */
export interface StoreAddress {
  /** The path of a DuckDB file, or a `postgres://` address. */
  readonly database: string;
  /** The schema that the user wants; it is in the address of a server. */
  readonly dbSchema?: string;
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
  /** Fill HandsFree's table of notifications, which is in a file only. */
  readonly notifications: boolean;
  /** Whether the file must be there already. @default {false} */
  readonly mustExist?: boolean;
  /**
   * What to do where a copy into it was not finished: `go on` is for who copies.
   * @default {"refuse"}
   */
  readonly ifPartial?: "refuse" | "warn" | "go on";
}

/** DuckDB's name for what lives as long as the process. */
const IN_MEMORY = ":memory:";

/** @throws {UsageError} where it is said of a file what it can't have. */
function assertFile({ database, dbSchema }: StoreAddress): void {
  if (database === IN_MEMORY) {
    throw new UsageError(
      "Cannot keep tasks in memory: they would be gone with the command. " +
        "Give the path of a file with --db.",
    );
  }
  if (!dbSchema) return;
  throw new UsageError(
    `Cannot use the schema ${dbSchema} of ${database}: a file has none. ` +
      "Give a postgres:// address with --db.",
  );
}

/**
 * Opens the store.
 *
 * @throws {DatabaseError} where it can't be used.
 * @throws {UsageError} where it is asked for what this one can't.
 */
export async function openStore(
  settings: StoreSettings,
  log: Log,
): Promise<Store> {
  const store = await openAny(settings, log);
  try {
    if (settings.ifPartial !== "go on") await lookWhole(store, settings, log);
  } catch (error) {
    await store[Symbol.asyncDispose]();
    throw error;
  }
  return store;
}

/** @throws {DatabaseError} where it is not whole, unless that is only to be told. */
async function lookWhole(
  { archive }: Store,
  { database, openWaitMs: waitMs, signal, ifPartial }: StoreSettings,
  log: Log,
): Promise<void> {
  if (!await archive.isPartial({ waitMs, signal })) return;
  const shown = shownDatabase(database);
  const { message, advice } = partial(shown);
  if (ifPartial !== "warn") {
    throw new DatabaseError(`Cannot use ${shown}: ${message}. ${advice}`);
  }
  log.warning(`Not all is in ${shown}: ${message}. ${advice}`, {
    event: "database_partial",
    database: shown,
  });
}

async function openAny(settings: StoreSettings, log: Log): Promise<Store> {
  const { database, dbWaitMs, openWaitMs, signal } = settings;
  const shown = shownDatabase(database);
  const waits = { waitMs: dbWaitMs, openWaitMs, signal };
  const tells = {
    onProblem: (message: string) =>
      log.warning(message, { event: "database_warning" }),
    onCreate: () =>
      log.info(`Made a new database: ${shown}`, {
        event: "database_created",
        database: shown,
      }),
  };
  if (isPostgresAddress(database)) {
    if (settings.exclusive) {
      throw new UsageError(
        `Cannot keep ${shown} for one runner: --exclusive is for a file. ` +
          "Leave it out: a server is for many runners.",
      );
    }
    const { openPostgresStore } = await import("./postgres/store.ts");
    return await openPostgresStore(database, { ...waits, ...tells });
  }
  assertFile(settings);
  const { exclusive, notifications, mustExist } = settings;
  if (mustExist) {
    const { assertDatabaseExists } = await import("./duckdb/explain.ts");
    assertDatabaseExists(database);
  }
  const { openDuckDbStore } = await import("./duckdb/store.ts");
  return await openDuckDbStore(database, {
    ...waits,
    ...tells,
    exclusive,
    notifications,
  });
}

/**
 * Brings a database to what this program needs. Returns the statements for it.
 *
 * @param options.isDry only says them
 * @throws {DatabaseError} where it can't be used.
 * @throws {UsageError} where it is a file, which is upgraded when it is opened.
 */
export async function migrate(
  { database, dbWaitMs }: StoreAddress,
  { isDry, clock }: { readonly isDry: boolean; readonly clock: Clock },
): Promise<readonly string[]> {
  if (!isPostgresAddress(database)) {
    throw new UsageError(
      `Cannot migrate ${database}: a file is upgraded by whatever opens it. ` +
        "Give a postgres:// address with --db.",
    );
  }
  const { migratePostgres } = await import("./postgres/store.ts");
  return await migratePostgres(database, { isDry, clock, waitMs: dbWaitMs });
}

/**
 * What looks at the store from outside. Opens nothing yet.
 *
 * @throws {UsageError} where it is asked for what this store can't.
 */
export async function openDiagnostics(
  address: StoreAddress,
  clock: Clock,
): Promise<Diagnostics> {
  const { database, dbWaitMs } = address;
  const options = { clock, waitMs: dbWaitMs };
  if (isPostgresAddress(database)) {
    const { PostgresDiagnostics } = await import("./postgres/diagnose.ts");
    return new PostgresDiagnostics(database, options);
  }
  assertFile(address);
  const { DuckDbDiagnostics } = await import("./duckdb/diagnose.ts");
  return new DuckDbDiagnostics(database, options);
}

/**
 * Opens the store to be read only, as soon as it can be used.
 *
 * @throws {DatabaseError} where it can't be used.
 * @throws {UsageError} where it is asked for what this store can't.
 */
export async function openReader(
  address: StoreAddress,
  clock: Clock,
): Promise<Reader> {
  const { database, dbWaitMs } = address;
  const options = { clock, waitMs: dbWaitMs };
  if (isPostgresAddress(database)) {
    const { openPostgresReader } = await import("./postgres/reader.ts");
    return await openPostgresReader(database, options);
  }
  assertFile(address);
  const { openDuckDbReader } = await import("./duckdb/reader.ts");
  return await openDuckDbReader(database, options);
}
