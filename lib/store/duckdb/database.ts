/**
 * Shares the database file with other processes: holds it only while there is
 * something to say to it.
 *
 * @module
 */

import type { Clock } from "../../base/clock.ts";
import { DatabaseError } from "../../base/errors.ts";
import type { Connect, Connection } from "./connection.ts";
import { explainDuckDbError } from "./explain.ts";
import { fingerprintOf, inodeOf, logSize } from "./file.ts";
import { whenFree, YIELD_MS } from "./turns.ts";

/** Options for {@linkcode Database}. Durations are in milliseconds. */
export interface DatabaseOptions {
  /** Keep the file from the first use to the end. @default {false} */
  readonly exclusive?: boolean;
  /** How long to wait while another process holds the file. @default {10_000} */
  readonly waitMs?: number;
  /** Called with each new connection before anything else uses it. */
  readonly onOpen: (connection: Connection) => Promise<void>;
  /** Whether to run a transaction once more that failed so. @default {never} */
  readonly isWorthAnother?: (error: unknown) => boolean;
}

/**
 * The file stays open so long after a transaction, in case there is another one.
 * The longer it was in use, the longer closing it takes, and opening it again:
 * so it lingers for a share of that time, within these bounds.
 */
const LINGER_MS = { least: 10, most: 100 };
const LINGER_SHARE = 0.25;
/**
 * Under load, others get their turn after this long: to let go, and to open the
 * file again, takes a fifth of a second then,
 */
const HOLD_MS = 2_000;
/**
 * or after so many short transactions: they are no load that another runner
 * should wait two seconds for.
 */
const HOLD_TRANSACTIONS = 20;
const SHORT_MS = 25;
/**
 * or after so many bytes of the write-ahead log: until the file is closed,
 * DuckDB keeps what is in it in memory too, and more. 100,000 tasks make 80 MB.
 */
const HOLD_LOG_BYTES = 85_000_000;

/** One database, used by one transaction at a time. */
export class Database implements AsyncDisposable {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #connect: Connect;
  readonly #options: DatabaseOptions;
  /** Called when the file was let go of. */
  onRelease: ((heldMs: number) => void) | undefined;
  #connection: Connection | undefined;
  #fingerprint: string | undefined;
  #changeCount = 0;
  #inode: number | null | undefined;
  #openedAt = 0;
  #shortTransactions = 0;
  /** The bytes of log that could not be folded in. */
  #keptLog = 0;
  #mayOpenAt = 0;
  #linger: ReturnType<typeof setTimeout> | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    path: string,
    dependencies: { clock: Clock; connect: Connect },
    options: DatabaseOptions,
  ) {
    this.#path = path;
    this.#clock = dependencies.clock;
    this.#connect = dependencies.connect;
    this.#options = options;
  }

  /**
   * Runs `work` in a transaction, after those that were asked for before. Rolls
   * back where it throws.
   *
   * @throws {DatabaseError} where the database can't be opened or written.
   */
  async transaction<T>(
    work: (connection: Connection) => Promise<T>,
  ): Promise<T> {
    try {
      return await this.#transaction(work);
    } catch (error) {
      if (!this.#options.isWorthAnother?.(error)) throw error;
    }
    return await this.#transaction(work);
  }

  #transaction<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    const result = this.#inTurn(async () => {
      clearTimeout(this.#linger);
      const connection = await this.#acquire();
      const startedAt = this.#clock.monotonic();
      try {
        connection.defer("BEGIN TRANSACTION");
        const result = await work(connection);
        await connection.run("COMMIT");
        this.#assertNotReplaced();
        return result;
      } catch (error) {
        await this.#rollBack(connection);
        throw error instanceof Error && !isDuckDbError(error)
          ? error
          : explainDuckDbError(error, this.#path);
      } finally {
        const tookMs = this.#clock.monotonic() - startedAt;
        if (tookMs < SHORT_MS) this.#shortTransactions++;
      }
    });
    this.#last = this.#last.then(() => this.#afterUse());
    return result;
  }

  /** Writes what is committed from the write-ahead log into the file itself. */
  checkpoint(): Promise<void> {
    return this.#inTurn(async () => {
      clearTimeout(this.#linger);
      const connection = await this.#acquire();
      try {
        await connection.run("CHECKPOINT");
      } catch (error) {
        throw explainDuckDbError(error, this.#path);
      } finally {
        await this.#afterUse();
      }
    });
  }

  /** How often another process was found to have changed the file. */
  changeCount(): Promise<number> {
    // In turn, so that closing the file here is not taken for a change.
    return this.#inTurn(() => {
      if (!this.#connection) this.#lookForChange();
      return this.#changeCount;
    });
  }

  /** Counts a change that this process made as one by another. */
  countChange(): void {
    this.#changeCount++;
  }

  #lookForChange(): void {
    if (!this.#isShared || this.#fingerprint === undefined) return;
    const fingerprint = fingerprintOf(this.#path);
    if (fingerprint === this.#fingerprint) return;
    this.#fingerprint = fingerprint;
    this.#changeCount++;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#inTurn(async () => {
      await this.#close();
      await this.#connect.dispose?.();
    });
  }

  get #isShared(): boolean {
    return !this.#options.exclusive && this.#path !== ":memory:";
  }

  #inTurn<T>(work: () => T | Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    // A failure belongs to its caller; the next in turn starts all the same.
    this.#last = result.catch(() => {});
    return result;
  }

  async #acquire(): Promise<Connection> {
    if (this.#connection) return this.#connection;
    await this.#clock.sleep(this.#mayOpenAt - this.#clock.monotonic());
    const connection = await this.#open();
    // Before anything is written: closing takes what differs for our own.
    this.#lookForChange();
    try {
      await this.#options.onOpen(connection);
    } catch (error) {
      connection.close();
      throw isDuckDbError(error)
        ? explainDuckDbError(error, this.#path)
        : error;
    }
    this.#openedAt = this.#clock.monotonic();
    this.#shortTransactions = 0;
    this.#inode = inodeOf(this.#path);
    this.#connection = connection;
    return connection;
  }

  #open(): Promise<Connection> {
    const { waitMs = 10_000 } = this.#options;
    return whenFree(() => this.#connect(this.#path), {
      clock: this.#clock,
      waitMs,
    });
  }

  /** What is written to a file that has no name any more is lost. */
  #assertNotReplaced(): void {
    if (this.#path === ":memory:") return;
    if (inodeOf(this.#path) === this.#inode) return;
    this.#drop();
    throw new DatabaseError(
      `Cannot use ${this.#path}: another file was put in its place meanwhile. ` +
        "What was just written went to the old one. Try again.",
    );
  }

  async #rollBack(connection: Connection): Promise<void> {
    try {
      await connection.run("ROLLBACK");
    } catch {
      // DuckDB has rolled back itself, or given the instance up (a full disk).
      // A new one replays what was committed.
      this.#drop();
    }
  }

  async #afterUse(): Promise<void> {
    if (!this.#isShared || !this.#connection) return;
    const heldMs = this.#clock.monotonic() - this.#openedAt;
    const isLong = heldMs >= HOLD_MS ||
      this.#shortTransactions >= HOLD_TRANSACTIONS ||
      logSize(this.#path) - this.#keptLog >= HOLD_LOG_BYTES;
    if (isLong) {
      await this.#letGo();
      this.#mayOpenAt = this.#clock.monotonic() + YIELD_MS;
    } else {
      this.#linger = setTimeout(
        () => this.#inTurn(() => this.#letGo()),
        clamp(heldMs * LINGER_SHARE, LINGER_MS),
      );
    }
  }

  /** Closes for a while. */
  async #letGo(): Promise<void> {
    await this.#close();
    this.#connect.prepare?.();
  }

  async #close(): Promise<void> {
    if (!this.#connection) return;
    if (logSize(this.#path) > 0) {
      try {
        // Closing does it too, but holds up JavaScript meanwhile.
        await this.#connection.run("CHECKPOINT");
        this.#keptLog = 0;
      } catch {
        // The log stays, and with it all that was committed.
        this.#keptLog = logSize(this.#path);
      }
    }
    this.#drop();
  }

  #drop(): void {
    clearTimeout(this.#linger);
    if (!this.#connection) return;
    this.#connection.close();
    this.#connection = undefined;
    this.onRelease?.(this.#clock.monotonic() - this.#openedAt);
    if (!this.#isShared) return;
    // What another process put there is not this one's doing.
    if (inodeOf(this.#path) !== this.#inode) this.#changeCount++;
    this.#fingerprint = fingerprintOf(this.#path);
  }
}

function clamp(
  value: number,
  { least, most }: { readonly least: number; readonly most: number },
): number {
  return Math.min(Math.max(value, least), most);
}

/** DuckDB's errors are plain ones that begin with their kind. */
function isDuckDbError(error: unknown): boolean {
  return error instanceof Error && !(error instanceof DatabaseError) &&
    /^[A-Z][\w ]* Error: /.test(error.message);
}
