/**
 * Time for those who could not renew their leases: another program had the file, or
 * the clock was set. The file says when a runner last used it; a lease that ran out
 * since then may be that of a living one, which waits for the file as well, or
 * looks at the clock within a second. The file also says until when that lasts,
 * because whoever comes next finds it in use.
 *
 * @module
 */

import type { Connection } from "./connection.ts";
import type { Database } from "./database.ts";

/** How long the others have, which look at their clocks each second. */
const GRACE_MS = 2_000;
/** How often the use of the file is noted. Used more often, nobody was kept out. */
const NOTE_MS = 1_000;
/** Whoever waits uses it so often, to notice that somebody keeps it again. */
const STEP_MS = 250;

/** What the file says, in milliseconds since 1970. */
interface Use {
  readonly lastUse: number;
  /** From when on leases that ran out may be taken; null where that is known. */
  readonly rescuesFrom: number | null;
}

/** Knows when the file was last in use by a runner. */
export class Grace {
  readonly #database: Database;
  #use: Use | undefined;
  #readAt = -Infinity;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Notes that the file is in use. To be called in each transaction of a runner,
   * before anything else.
   *
   * @param wait of one that is to take leases that ran out
   * @returns whether it is to wait: then let the file go, and
   * {@linkcode GraceWait.sleep}
   */
  async begin(
    connection: Connection,
    { now, wait }: { readonly now: Date; readonly wait?: GraceWait },
  ): Promise<boolean> {
    if (!this.#database.isShared) return false;
    const { openedAt } = this.#database;
    if (openedAt !== this.#readAt) {
      this.#use = await connection.json<Use>(
        `SELECT to_json({lastUse: epoch_ms(last_used_at),
           rescuesFrom: epoch_ms(rescues_from)}) FROM agent_runner_file`,
      ) ?? undefined;
      this.#readAt = openedAt;
    }
    await this.#note(connection, now);
    return wait?.isFor(this.#use?.rescuesFrom ?? -Infinity, now) ?? false;
  }

  async #note(connection: Connection, now: Date): Promise<void> {
    const at = now.getTime();
    const { lastUse = -Infinity, rescuesFrom = null } = this.#use ?? {};
    const gapMs = at - lastUse;
    const isGap = Math.abs(gapMs) >= NOTE_MS;
    const isWaitedFor = (rescuesFrom ?? -Infinity) > lastUse;
    if (!isGap && !isWaitedFor) return;
    // While it was waited for, nobody else may have come in.
    const isAnew = isGap && gapMs > 0 &&
      (isWaitedFor || await hasRunOut(connection, lastUse, now));
    const use = {
      lastUse: at,
      rescuesFrom: isAnew ? at + GRACE_MS : rescuesFrom,
    };
    await connection.run(
      this.#use
        ? `UPDATE agent_runner_file SET last_used_at = $1::TIMESTAMPTZ,
             rescues_from = $2::TIMESTAMPTZ`
        : "INSERT INTO agent_runner_file VALUES ($1::TIMESTAMPTZ, $2::TIMESTAMPTZ)",
      [
        now,
        use.rescuesFrom && new Date(use.rescuesFrom),
      ],
    );
    this.#use = use;
  }

  /** What was noted was rolled back. */
  forget(): void {
    this.#readAt = -Infinity;
  }
}

/** The wait of one that is to take leases that ran out. */
export class GraceWait {
  #from = -Infinity;
  #restMs = 0;

  /** Whether it has not waited for that time yet, by whatever clock. */
  isFor(from: number, now: Date): boolean {
    const restMs = from - now.getTime();
    // A longer one: the clock was set back.
    const isAhead = restMs > 0 && restMs <= GRACE_MS;
    if (isAhead && from !== this.#from) {
      this.#from = from;
      this.#restMs = restMs;
    }
    return from === this.#from && this.#restMs > 0;
  }

  /** In parts, so that the file does not look as if nobody could use it. */
  async sleep(
    { clock }: Database,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const ms = Math.min(this.#restMs, STEP_MS);
    await clock.sleep(ms, signal);
    this.#restMs -= ms;
  }
}

async function hasRunOut(
  connection: Connection,
  since: number,
  now: Date,
): Promise<boolean> {
  return await connection.json<boolean>(
    `SELECT to_json(EXISTS (FROM agent_tasks
       WHERE lease_expires_at <= $1::TIMESTAMPTZ
         AND lease_expires_at > $2::TIMESTAMPTZ))`,
    [
      now,
      since === -Infinity ? "-infinity" : new Date(since),
    ],
  ) ?? false;
}

/** Whether others than this runner have leases that count. */
export async function hasLeases(
  connection: Pick<Connection, "json">,
  { besides, now }: { readonly besides: string; readonly now: Date },
): Promise<boolean> {
  return await connection.json<boolean>(
    `SELECT to_json(EXISTS (FROM agent_tasks
       WHERE lease_expires_at > $1::TIMESTAMPTZ AND lease_owner <> $2))`,
    [now, besides],
  ) ?? false;
}
