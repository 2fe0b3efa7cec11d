/**
 * Taking turns with other processes at the database file.
 *
 * @module
 */

import { backoffMs } from "../../base/backoff.ts";
import type { Clock } from "../../base/clock.ts";
import { DatabaseBusyError } from "../../base/errors.ts";

/**
 * How long a busy runner lets others have the file, which may try a few times a
 * second only.
 */
export const YIELD_MS = 60;
/**
 * Mostly it has just written something, and lets go in a moment. At least two
 * tries in the time that a busy runner leaves.
 */
const BUSY_BACKOFF = { baseMs: 4, maxMs: 0.4 * YIELD_MS };

/**
 * Opens a database as soon as no other process holds its file.
 *
 * @throws {DatabaseBusyError} where that takes longer than the wait.
 */
export async function whenFree<T>(
  open: () => Promise<T>,
  { clock, waitMs }: { readonly clock: Clock; readonly waitMs: number },
): Promise<T> {
  const deadline = clock.monotonic() + waitMs;
  for (let attempt = 1;; attempt++) {
    try {
      return await open();
    } catch (error) {
      const waited = clock.monotonic() >= deadline;
      if (!(error instanceof DatabaseBusyError) || waited) throw error;
    }
    await clock.sleep(backoffMs(attempt, BUSY_BACKOFF));
  }
}
