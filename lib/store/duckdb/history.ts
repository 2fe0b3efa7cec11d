/**
 * Questions about all tasks, and what is done with all of them.
 *
 * @module
 */

import type {
  ExportOptions,
  Overview,
  OverviewOptions,
  PruneCount,
  Stats,
  StatsOptions,
  StoreSize,
  TaskHistory,
} from "../history.ts";
import type { Database } from "./database.ts";
import { exportTable } from "./export.ts";
import { readOverview } from "./overview.ts";
import { countOld, deleteOld } from "./prune.ts";
import { readStats } from "./stats.ts";

/** A {@linkcode TaskHistory} of a DuckDB file. */
export class DuckDbHistory implements TaskHistory {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  stats(options: StatsOptions): Promise<Stats> {
    return this.#database.transaction((connection) =>
      readStats(connection, options)
    );
  }

  overview(options: OverviewOptions): Promise<Overview> {
    return this.#database.transaction((connection) =>
      readOverview(connection, options)
    );
  }

  export(options: ExportOptions): Promise<number> {
    return this.#database.transaction((connection) =>
      exportTable(connection, options)
    );
  }

  countPrunable(before: Date): Promise<PruneCount> {
    return this.#database.transaction((connection) =>
      countOld(connection, before)
    );
  }

  prune(before: Date): Promise<PruneCount> {
    return this.#database.transaction((connection) =>
      deleteOld(connection, before)
    );
  }

  async checkpoint(): Promise<StoreSize> {
    await this.#database.checkpoint();
    return await this.#database.transaction(async (connection) =>
      await connection.json<StoreSize>(
        `SELECT to_json({bytes: total_blocks * block_size,
           freeBytes: free_blocks * block_size}) FROM pragma_database_size()`,
      ) ?? { bytes: 0, freeBytes: 0 }
    );
  }
}
