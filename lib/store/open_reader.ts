/**
 * Opens the database that the configuration names, to be read only.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import type { Config } from "../config/config.ts";
import { whenFree } from "./duckdb/turns.ts";
import { openDuckDbReader } from "./duckdb/reader.ts";
import type { DatabaseReader } from "./reader.ts";

/**
 * Opens the database, as soon as nobody writes to it.
 *
 * @throws {DatabaseError} where it can't be used.
 */
export function openReader(
  { dbPath, dbWaitMs }: Pick<Config, "dbPath" | "dbWaitMs">,
  clock: Clock,
): Promise<DatabaseReader> {
  return whenFree(() => openDuckDbReader(dbPath), { clock, waitMs: dbWaitMs });
}
