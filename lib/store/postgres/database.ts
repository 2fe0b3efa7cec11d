/**
 * Transactions in a PostgreSQL database: short ones, which are done again where the
 * server or the way to it fails.
 *
 * @module
 */

import { backoffMs } from "../../base/backoff.ts";
import type { Clock } from "../../base/clock.ts";
import { DatabaseBusyError, DatabaseError } from "../../base/errors.ts";
import { track } from "../../base/under_way.ts";
import type { PostgresAddress } from "./address.ts";
import { Announcements, type Waked } from "./announcements.ts";
import type { Connection } from "./connection.ts";
import {
  codeOf,
  explainPostgresError,
  isLost,
  isTransient,
} from "./explain.ts";
import { Lane } from "./lane.ts";
import { ALONE_MS } from "./session.ts";

/** Options for {@linkcode Database}. Durations are in milliseconds. */
export interface DatabaseOptions {
  readonly clock: Clock;
  /** How long to try where the server can't be used. @default {10_000} */
  readonly waitMs?: number;
  /** Called with what a person should know. */
  readonly onProblem: (message: string) => void;
  /** How far the store's time is ahead of the server's, for tests. @default {0} */
  readonly aheadMs?: () => number;
}

/** Options for {@linkcode Database.transaction}. Durations are in milliseconds. */
export interface TransactionOptions {
  /** Has a connection of its own. @default {false} */
  readonly isUrgent?: boolean;
  /**
   * Takes a moment, and runs depend on it: a connection is kept for what does.
   * @default {false}
   */
  readonly isFirst?: boolean;
  /**
   * Ends the wait for the server; then nothing was done, unless the connection was
   * lost with a COMMIT, of which nobody knows then.
   */
  readonly signal?: AbortSignal;
  /** How long to try. @default {what the database waits} */
  readonly waitMs?: number;
  /** How long each statement may take. @default {30_000} */
  readonly timeoutMs?: number;
  /** How long to wait for what others write. @default {timeoutMs} */
  readonly lockMs?: number;
  /** Who is told where something was changed. @default {"events"} */
  readonly wakes?: Waked | "nobody";
}

/** What takes as long as there are rows: making, deleting and counting them. */
export const LONG_MS = 3_600_000;

/**
 * Connections of a runner: these, one that is urgent, and one that listens. One of
 * these is kept for the queue, however long all else takes.
 */
const CONNECTIONS = { max: 3, kept: 1 };
/** Own work that is under way is waited for, even by who waits for no server. */
const MIN_TURN_MS = 500;
const TIMEOUT_MS = 30_000;
/** Answers that are so much later than the server's limit don't come any more. */
const HANG_MS = 5_000;
/** A server that starts again takes some tenths of a second. */
const BACKOFF = { baseMs: 40, maxMs: 1_000 };

const READ = "isolation level repeatable read read only";
const WRITE = "isolation level read committed";

/** For this transaction only: behind a pooler, the next has another connection. */
const BEGIN = `
  SELECT clock_timestamp() AS at, set_config('search_path', $1, true),
    set_config('statement_timeout', $2, true),
    set_config('lock_timeout', $3, true),
    set_config('idle_in_transaction_session_timeout', $2, true)`;

type Work<T> = (connection: Connection, at: Date) => Promise<T>;

/** What the server says of a transaction whose number is yet to come. */
const IS_AHEAD = "22023";

/** What a COMMIT that got no answer came to. */
type Outcome = "committed" | "aborted" | "in progress" | null;

/** What a transaction came to before its COMMIT. */
interface Ran<T> {
  value?: T;
  /** How many rows it changed. */
  changed: number;
  /** Its id; null: nothing is left to do but the COMMIT of nothing. */
  xid: string | null;
}

/** One database. */
export class Database implements AsyncDisposable {
  readonly clock: Clock;
  readonly announcements: Announcements;
  readonly #address: PostgresAddress;
  readonly #options: DatabaseOptions;
  readonly #lane: Lane;
  readonly #urgent: Lane;
  #isClosing = false;

  constructor(address: PostgresAddress, options: DatabaseOptions) {
    this.clock = options.clock;
    this.#address = address;
    this.#options = options;
    this.#lane = new Lane(address, CONNECTIONS);
    this.#urgent = new Lane(address, { max: 1 });
    this.announcements = new Announcements(address, {
      ...options,
      notify: (channel, payload) => this.#notify(channel, payload),
      read: (work) => this.read(work, { waitMs: 0, isFirst: true }),
    });
  }

  /** The schema that has all tables. */
  get schema(): string {
    return this.#address.schema;
  }

  /** What people see of its address. */
  get shown(): string {
    return this.#address.shown;
  }

  /**
   * Runs `work` in a transaction, again where it could not be committed and nothing
   * of it was.
   *
   * @throws {DatabaseBusyError} where the server can't be used for all of the wait,
   * or until the signal aborts.
   * @throws {DatabaseError} where it refuses for another reason.
   */
  transaction<T>(
    work: Work<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    return track(this.#retrying(
      (waitMs) => this.#run(WRITE, work, { ...options, waitMs }),
      options,
    ));
  }

  /** The same for what only reads: all of it as it is at one moment. */
  read<T>(work: Work<T>, options: TransactionOptions = {}): Promise<T> {
    return track(this.#retrying(
      (waitMs) => this.#run(READ, work, { ...options, waitMs }),
      options,
    ));
  }

  /** Calls `run` with what is left of the wait, until it goes well. */
  async #retrying<T>(
    run: (waitMs: number) => Promise<T>,
    { waitMs = this.#options.waitMs ?? 10_000, signal }: TransactionOptions,
  ): Promise<T> {
    const deadline = this.clock.monotonic() + waitMs;
    for (let attempt = 1;; attempt++) {
      if (this.#isClosing) {
        throw new DatabaseError(`Cannot use ${this.shown}: it was closed.`);
      }
      this.#assertWanted(signal);
      try {
        return await run(deadline - this.clock.monotonic());
      } catch (error) {
        this.#assertWanted(signal);
        const isLate = this.clock.monotonic() >= deadline;
        if (!isTransient(error) || isLate || this.#isClosing) {
          throw explainPostgresError(error, this.shown);
        }
      }
      await this.clock.sleep(backoffMs(attempt, BACKOFF), signal);
    }
  }

  #assertWanted(signal: AbortSignal | undefined): void {
    if (!signal?.aborted) return;
    throw new DatabaseBusyError(
      `Cannot use ${this.shown}: the wait for it was ended.`,
    );
  }

  async #run<T>(
    mode: string,
    work: Work<T>,
    options: TransactionOptions,
  ): Promise<T> {
    const { isUrgent = false, isFirst, signal, wakes = "events" } = options;
    const { timeoutMs = TIMEOUT_MS, waitMs = 0 } = options;
    const lane = isUrgent ? this.#urgent : this.#lane;
    const ran: Ran<T> = { changed: 0, xid: null };
    try {
      await lane.use(
        (session) =>
          session.transaction(
            (connection) => this.#work(connection, { ...options, work, ran }),
            { mode, hangMs: timeoutMs + HANG_MS },
          ),
        { isFirst, signal, waitMs: Math.max(waitMs, MIN_TURN_MS) },
      );
    } catch (error) {
      // The COMMIT was sent, and no answer came.
      const isUnknown = ran.xid !== null && isLost(error);
      if (!isUnknown || !await this.#isCommitted(ran.xid, options)) {
        throw error;
      }
    }
    if (ran.changed > 0 && wakes !== "nobody") this.announcements.tell(wakes);
    return ran.value as T;
  }

  async #work<T>(
    connection: Connection & { readonly changed: number },
    { work, ran, signal, timeoutMs = TIMEOUT_MS, lockMs = timeoutMs }:
      & TransactionOptions
      & { readonly work: Work<T>; readonly ran: Ran<T> },
  ): Promise<void> {
    const [begun] = await connection.rows<{ at: Date }>(
      BEGIN,
      [`"${this.schema}"`, String(timeoutMs), String(lockMs)],
    );
    this.#assertWanted(signal);
    const { aheadMs = () => 0 } = this.#options;
    const at = new Date((begun?.at.getTime() ?? NaN) + aheadMs());
    ran.value = await work(connection, at);
    ran.changed = connection.changed;
    if (ran.changed > 0) ran.xid = await currentId(connection);
  }

  /**
   * Asks the server what a COMMIT came to whose answer was lost.
   *
   * @throws {DatabaseBusyError} where that can't be known within the wait.
   */
  async #isCommitted(
    xid: string | null,
    { waitMs = 0, signal }: TransactionOptions,
  ): Promise<boolean> {
    const deadline = this.clock.monotonic() + waitMs;
    for (let attempt = 1;; attempt++) {
      const left = deadline - this.clock.monotonic();
      const outcome = await this.#retrying(
        (waitMs) => this.#outcomeOf(xid, waitMs),
        { waitMs: left, signal },
      );
      if (outcome !== "in progress") return outcome === "committed";
      if (left <= 0) {
        throw new DatabaseBusyError(
          `Cannot use ${this.shown}: the connection was lost, and what was ` +
            "sent to be committed is still under way. Look at the server's log.",
          { holder: "" },
        );
      }
      await this.clock.sleep(backoffMs(attempt, BACKOFF), signal);
    }
  }

  async #outcomeOf(xid: string | null, waitMs: number): Promise<Outcome> {
    try {
      return await this.#run(READ, async (connection) => {
        const [row] = await connection.rows<{ outcome: Outcome }>(
          "SELECT pg_xact_status($1::xid8) AS outcome",
          [xid],
        );
        return row?.outcome ?? null;
      }, { isUrgent: true, waitMs });
    } catch (error) {
      // A standby took over before it got that far: it has no such transaction.
      if (codeOf(error) === IS_AHEAD) return "aborted";
      throw error;
    }
  }

  async #notify(channel: string, payload: string): Promise<void> {
    await this.#lane.use(
      (session) => session.run("SELECT pg_notify($1, $2)", [channel, payload]),
      { isFirst: true, waitMs: ALONE_MS },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.announcements[Symbol.asyncDispose]();
    this.#isClosing = true;
    await track(Promise.all([this.#lane.close(), this.#urgent.close()]));
  }
}

async function currentId(connection: Connection): Promise<string | null> {
  const [row] = await connection.rows<{ xid: string | null }>(
    "SELECT pg_current_xact_id_if_assigned()::text AS xid",
  );
  return row?.xid ?? null;
}
