/**
 * A second for those who could not renew their leases: another program had the
 * file, or the clock was set. The file says when a runner last used it; a lease
 * that ran out since then may be that of a living one, which waits for the file
 * as well and has it within a fraction of that second.
 *
 * @module
 */

import type { Connection } from "./connection.ts";
import type { Database } from "./database.ts";

/** How long the others have. A living runner tries every 24 ms. */
export const GRACE_MS = 1_000;
/** Used more often than that, nobody was kept out. */
const GAP_MS = 2_000;
/** How often the use of the file is noted. */
const NOTE_MS = 1_000;

/** Knows when the file was last in use by a runner. */
export class Grace {
  readonly #database: Database;
  /** In milliseconds since 1970; undefined before it was read. */
  #lastUse: number | undefined;
  #readAt = -Infinity;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Notes that the file is in use. Says whether leases ran out while it was not:
   * then let it go for {@linkcode GRACE_MS}. To be called in each transaction of a
   * runner, before anything else.
   */
  async begin(connection: Connection, now: Date): Promise<boolean> {
    if (!this.#database.isShared) return false;
    const { openedAt } = this.#database;
    if (openedAt !== this.#readAt) {
      this.#lastUse = await connection.json<number>(
        "SELECT to_json(max(epoch_ms(last_used_at))) FROM agent_runner_file",
      ) ?? undefined;
      this.#readAt = openedAt;
    }
    const lastUse = this.#lastUse;
    const gapMs = now.getTime() - (lastUse ?? -Infinity);
    if (Math.abs(gapMs) < NOTE_MS) return false;
    await this.#note(connection, now, lastUse === undefined);
    return gapMs > GAP_MS && await hasRunOut(connection, lastUse, now);
  }

  async #note(
    connection: Connection,
    now: Date,
    isFirst: boolean,
  ): Promise<void> {
    await connection.run(
      isFirst
        ? "INSERT INTO agent_runner_file VALUES ($1::TIMESTAMPTZ)"
        : "UPDATE agent_runner_file SET last_used_at = $1::TIMESTAMPTZ",
      [now.toISOString()],
    );
    this.#lastUse = now.getTime();
  }

  /** What was noted was rolled back. */
  forget(): void {
    this.#readAt = -Infinity;
  }
}

async function hasRunOut(
  connection: Connection,
  since: number | undefined,
  now: Date,
): Promise<boolean> {
  return await connection.json<boolean>(
    `SELECT to_json(EXISTS (FROM agent_tasks
       WHERE lease_expires_at <= $1::TIMESTAMPTZ
         AND lease_expires_at > $2::TIMESTAMPTZ))`,
    [
      now.toISOString(),
      since === undefined ? "-infinity" : new Date(since).toISOString(),
    ],
  ) ?? false;
}
