/**
 * Tasks in a PostgreSQL database. Its folder has all the SQL there is.
 *
 * @module
 */

import { type Clock, systemClock } from "../../base/clock.ts";
import type { Store } from "../contract.ts";
import { parsePostgresAddress } from "./address.ts";
import { postgresAdmin } from "./admin.ts";
import { PostgresArchive } from "./archive.ts";
import { Database, type DatabaseOptions } from "./database.ts";
import { PostgresEvents } from "./events.ts";
import { PostgresOutbox } from "./outbox.ts";
import { PostgresQueue } from "./queue.ts";
import { postgresSchedules } from "./schedules.ts";
import { ensureSchema, readVersion, stepsFrom } from "./schema.ts";

/** Options for {@linkcode openPostgresStore}. */
export interface PostgresStoreOptions
  extends Partial<Pick<DatabaseOptions, "aheadMs" | "waitMs" | "onProblem">> {
  /** How long to try while it is opened. @default {waitMs} */
  readonly openWaitMs?: number;
  /** Ends the wait while it is opened. */
  readonly signal?: AbortSignal;
  /** Of the waits between tries; what time it is, the server says. @default {systemClock} */
  readonly clock?: Clock;
  /** Called when the tables were made, for the first time. */
  readonly onCreate?: () => void;
}

/**
 * Opens the store at an address. Makes the tables where there are none.
 *
 * @throws {DatabaseError} where the database can't be used.
 */
export async function openPostgresStore(
  address: string,
  options: PostgresStoreOptions = {},
): Promise<Store> {
  const {
    clock = systemClock,
    onCreate,
    onProblem = () => {},
    waitMs,
    openWaitMs = waitMs,
    aheadMs,
    signal,
  } = options;
  const database = new Database(parsePostgresAddress(address), {
    clock,
    waitMs,
    onProblem,
    aheadMs,
  });
  try {
    const found = await ensureSchema(database, { waitMs: openWaitMs, signal });
    if (found === 0) onCreate?.();
  } catch (error) {
    await database[Symbol.asyncDispose]();
    throw error;
  }
  return {
    queue: new PostgresQueue(database, { onProblem }),
    admin: postgresAdmin(database),
    events: new PostgresEvents(database),
    outbox: new PostgresOutbox(database),
    schedules: postgresSchedules(database),
    archive: new PostgresArchive(database),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
}

/**
 * Brings the tables to this program's version; with `isDry`, only says how. Returns
 * the statements.
 *
 * @throws {DatabaseError} where the database can't be used, or is newer.
 */
export async function migratePostgres(
  address: string,
  { clock = systemClock, waitMs, isDry }: {
    readonly clock?: Clock;
    readonly waitMs?: number;
    readonly isDry: boolean;
  },
): Promise<readonly string[]> {
  await using database = new Database(parsePostgresAddress(address), {
    clock,
    waitMs,
    onProblem: () => {},
  });
  const from = isDry
    ? await database.read((it) => readVersion(it, database.schema))
    : await ensureSchema(database);
  const steps = stepsFrom(from, database.shown);
  const first = [
    `CREATE SCHEMA IF NOT EXISTS "${database.schema}"`,
    `SET search_path TO "${database.schema}"`,
  ];
  return steps.length === 0 ? [] : [...first, ...steps];
}
