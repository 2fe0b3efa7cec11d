/**
 * Following the log of a task as it grows.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { DatabaseError } from "../base/errors.ts";
import { Wake } from "../base/wake.ts";
import type { Admin, Events, LogPage, LogsOptions } from "../store/contract.ts";

/** Lines of a page. */
const PAGE_LINES = 1_000;
/** Where all changes all the time, the log is read so often. */
const PAUSE_MS = 200;
/** Without word of changes, so often; with it too, but for one that goes unheard. */
const POLL_MS = 1_000;
const UNHEARD_MS = 5_000;
/** A runner has written all that a run printed so soon after its end. */
const LAST_MS = 2_000;

/** Options for {@linkcode followLog}. */
export interface FollowOptions extends Omit<LogsOptions, "limit"> {
  /** Only this attempt; without it, those too that come after the last. */
  readonly attempt?: number;
  readonly admin: Pick<Admin, "logs">;
  /** Not where the store is behind a service. */
  readonly onChange?: Events["onChange"] | undefined;
  readonly clock: Clock;
  /** Ends it. */
  readonly stop: AbortSignal;
  /** Is told why the log can't be read just now. Without it, that is thrown. */
  readonly onProblem?: (error: DatabaseError) => void;
}

/**
 * The pages of a log that have lines, until nothing more comes: the attempt is over,
 * or, where none was given, the task has ended.
 */
export async function* followLog(
  { taskId, attempt, after, admin, onChange, clock, stop, onProblem }:
    FollowOptions,
): AsyncGenerator<LogPage> {
  const wake = new Wake();
  using _changes = onChange?.(() => wake.wake());
  const end = () => wake.wake();
  stop.addEventListener("abort", end);
  using _listening = {
    [Symbol.dispose]: () => stop.removeEventListener("abort", end),
  };
  let place: { attempt?: number; after?: string } = { attempt, after };
  let isLast = false;
  while (!stop.aborted) {
    const page = await read();
    if (!page) {
      await clock.sleep(POLL_MS, stop);
      continue;
    }
    if (page.entries.length > 0) yield page;
    place = {
      attempt: page.attempt ?? attempt,
      after: page.next ?? place.after,
    };
    if (page.hasMore) continue;
    const next = page.attempts.find((it) => it > (page.attempt ?? Infinity));
    if (next !== undefined && attempt === undefined) {
      place = { attempt: next };
      continue;
    }
    if (isLast) return;
    if (attempt === undefined ? page.hasEnded : page.isOver) {
      await clock.sleep(LAST_MS, stop);
      isLast = true;
      continue;
    }
    await clock.sleep(PAUSE_MS, stop);
    await wake.wait(clock, onChange ? UNHEARD_MS : POLL_MS);
  }

  async function read(): Promise<LogPage | undefined> {
    try {
      return await admin.logs({ taskId, ...place, limit: PAGE_LINES });
    } catch (error) {
      if (!onProblem || !(error instanceof DatabaseError)) throw error;
      onProblem(error);
      return undefined;
    }
  }
}
