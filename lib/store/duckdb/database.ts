/**
 * Shares the database file with other processes: holds it only while there is
 * something to say to it, and lets go in turn.
 *
 * @module
 */

import { backoffMs } from "../../base/backoff.ts";
import type { Clock } from "../../base/clock.ts";
import { DatabaseBusyError, DatabaseError } from "../../base/errors.ts";
import { track } from "../../base/under_way.ts";
import {
  type Connect,
  type Connection,
  type SqlValue,
  USE_MORE_MEMORY,
} from "./connection.ts";
import { explainDuckDbError } from "./explain.ts";
import { fingerprintOf, inodeOf, logSize } from "./file.ts";

/** Options for {@linkcode Database}. Durations are in milliseconds. */
export interface DatabaseOptions {
  /** Keep the file from the first use to the end. @default {false} */
  readonly exclusive?: boolean;
  /** How long to wait while another process holds the file. @default {10_000} */
  readonly waitMs?: number;
  /**
   * Called with each new connection before anything else uses it. Where it returns a
   * function, the file is closed for that, and opened again.
   */
  readonly onOpen: (
    connection: Connection,
  ) => Promise<(() => Promise<void>) | undefined>;
  /** Whether to run a transaction once more that failed so. @default {never} */
  readonly isWorthAnother?: (error: unknown) => boolean;
}

/** Options for {@linkcode Database.transaction}. */
export interface TransactionOptions {
  /** Goes before all that wait. @default {false} */
  readonly isUrgent?: boolean;
  /** Ends the wait for its turn and for the file. */
  readonly signal?: AbortSignal;
  /** How long to wait for them. @default {what the database waits} */
  readonly waitMs?: number;
}

type Work<T> = (connection: Connection, at: Date) => Promise<T>;

interface Request extends TransactionOptions {
  readonly deadline: number;
  readonly work: (connection: CountingConnection) => Promise<void>;
  readonly refuse: (error: unknown) => void;
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
const HOLD_MS = 1_500;
/**
 * or after so many short transactions: they are no load that another runner
 * should wait so long for;
 */
const HOLD_TRANSACTIONS = 20;
const SHORT_MS = 25;
/**
 * or after so many bytes of the write-ahead log: until the file is closed,
 * DuckDB keeps what is in it in memory too, and more. 100,000 tasks make 80 MB.
 */
const HOLD_LOG_BYTES = 85_000_000;
/** So long, others have the file; they may try a few times a second only. */
const YIELD_MS = 60;
/**
 * Mostly who holds it has just written something, and lets go in a moment. At
 * least two tries in the time that a busy runner leaves.
 */
const BUSY_BACKOFF = { baseMs: 4, maxMs: 0.4 * YIELD_MS };
/**
 * How often to look whether the file has changed: 40 looks a second take 1% of a
 * processor; looking less often makes a new task wait longer.
 */
const LOOK_MS = 25;

/** One database, used by one transaction at a time. */
export class Database implements AsyncDisposable {
  readonly path: string;
  readonly clock: Clock;
  readonly #connect: Connect;
  readonly #options: DatabaseOptions;
  readonly #requests: Request[] = [];
  readonly #listeners = new Set<{ readonly own: boolean; call(): void }>();
  #serving: Promise<void> | undefined;
  #isClosing = false;
  #isToLetGo = false;
  #connection: CountingConnection | undefined;
  #fingerprint: string | undefined;
  #inode: number | null | undefined;
  #openedAt = 0;
  #shortTransactions = 0;
  /** The bytes of log that could not be folded in. */
  #keptLog = 0;
  #mayOpenAt = 0;
  #linger: ReturnType<typeof setTimeout> | undefined;
  #looking: ReturnType<typeof setInterval> | undefined;
  #isKept: boolean;
  /** The last transaction came as far as its COMMIT. */
  #isCommitting = false;
  #holdMs = HOLD_MS;
  /** What there is to do took more memory than DuckDB usually gets. */
  #needsMore = false;

  constructor(
    path: string,
    { clock, connect }: { readonly clock: Clock; readonly connect: Connect },
    options: DatabaseOptions,
  ) {
    this.path = path;
    this.clock = clock;
    this.#connect = connect;
    this.#options = options;
    this.#isKept = options.exclusive ?? false;
  }

  /** The store's time. */
  now(): Date {
    return this.clock.now();
  }

  /** Other processes may have the file in turn. */
  get isShared(): boolean {
    return !this.#isKept && this.path !== ":memory:";
  }

  /** It is to be kept, and is not yet. */
  get mayKeep(): boolean {
    return this.#options.exclusive === true && !this.#isKept;
  }

  /** Keeps the file from now on. */
  keep(): void {
    this.#isKept = true;
  }

  /** Shares the file, though it is to be kept, until {@linkcode Database.keep}. */
  share(): void {
    this.#isKept = false;
  }

  /** Lets others have their turn after so many milliseconds, where that is less. */
  holdAtMost(ms: number): void {
    this.#holdMs = Math.min(HOLD_MS, ms);
  }

  /** When the file was opened last, by the clock that never jumps. */
  get openedAt(): number {
    return this.#openedAt;
  }

  /**
   * Runs `work` in a transaction, after those that were asked for before, with the
   * time after the wait for the file. Rolls back where it throws.
   *
   * @throws {DatabaseBusyError} where another process holds the file for all of
   * the wait, or until the signal aborts.
   * @throws {DatabaseError} where the database can't be opened or written.
   */
  transaction<T>(
    work: Work<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    if (this.#isClosing) {
      return Promise.reject(
        new DatabaseError(`Cannot use ${this.path}: it was closed.`),
      );
    }
    const { waitMs = this.#options.waitMs ?? 10_000 } = options;
    return new Promise<T>((resolve, refuse) => {
      this.#requests.push({
        ...options,
        deadline: this.clock.monotonic() + waitMs,
        work: async (connection) => {
          try {
            resolve(await this.#runTwice(connection, work));
          } catch (error) {
            refuse(error);
          }
        },
        refuse,
      });
      this.#serve();
    });
  }

  /**
   * Calls `listener` when another process changed the file; with `own`, after the
   * commits of this one too.
   */
  onChange(
    listener: () => void,
    { own }: { readonly own: boolean },
  ): Disposable {
    const entry = { own, call: listener };
    this.#listeners.add(entry);
    if (this.isShared) {
      this.#fingerprint ??= fingerprintOf(this.path);
      this.#looking ??= setInterval(() => this.#lookForChange(), LOOK_MS);
    }
    return {
      [Symbol.dispose]: () => {
        this.#listeners.delete(entry);
        if (this.#listeners.size === 0) this.#stopLooking();
      },
    };
  }

  /** Tells all listeners of a change that this process has made. */
  announce(): void {
    for (const { call } of this.#listeners) call();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true;
    this.#stopLooking();
    clearTimeout(this.#linger);
    // What was asked for before is done, unless somebody else has the file. In a
    // loop: what was asked for as it ended is served anew.
    while (this.#serving) await this.#serving;
    await track(this.#close());
  }

  #stopLooking(): void {
    clearInterval(this.#looking);
    this.#looking = undefined;
  }

  #lookForChange(): void {
    // While it is open here, nobody else can write.
    if (!this.isShared || this.#connection || this.#serving) return;
    const fingerprint = fingerprintOf(this.path);
    if (fingerprint === this.#fingerprint) return;
    this.#fingerprint = fingerprint;
    this.announce();
  }

  #serve(): void {
    this.#serving ??= track(this.#serveAll()).finally(() => {
      this.#serving = undefined;
      if (this.#requests.length > 0) this.#serve();
    });
  }

  async #serveAll(): Promise<void> {
    clearTimeout(this.#linger);
    if (this.#isToLetGo && this.#requests.length === 0) await this.#close();
    this.#isToLetGo = false;
    while (this.#requests.length > 0) {
      const connection = this.#connection ?? await this.#open();
      if (!connection) continue;
      const request = this.#next();
      if (request) await request.work(connection);
      if (this.#isLong()) {
        await this.#close();
        this.#mayOpenAt = this.clock.monotonic() + YIELD_MS;
      }
    }
    if (!this.#connection || !this.isShared || this.#isClosing) return;
    const heldMs = this.clock.monotonic() - this.#openedAt;
    this.#linger = setTimeout(
      () => {
        this.#isToLetGo = true;
        this.#serve();
      },
      Math.min(
        Math.max(heldMs * LINGER_SHARE, LINGER_MS.least),
        LINGER_MS.most,
      ),
    );
  }

  #next(): Request | undefined {
    this.#refuseStopped();
    const urgent = this.#requests.findIndex(({ isUrgent }) => isUrgent);
    return this.#requests.splice(Math.max(urgent, 0), 1)[0];
  }

  /** Those whose signal aborted. */
  #refuseStopped(why?: DatabaseBusyError): void {
    this.#refuse(
      ({ signal }) => signal?.aborted === true,
      why ?? new DatabaseBusyError(
        `Cannot use ${this.path}: the wait for it was ended.`,
      ),
    );
  }

  #refuse(isRefused: (request: Request) => boolean, error: unknown): void {
    const refused = this.#requests.filter(isRefused);
    for (const request of refused) {
      this.#requests.splice(this.#requests.indexOf(request), 1);
      request.refuse(error);
    }
  }

  /** Undefined where nobody waits for it any more. */
  async #open(): Promise<CountingConnection | undefined> {
    let busy: DatabaseBusyError | undefined;
    let at = this.#mayOpenAt;
    for (let attempt = 1;; attempt++) {
      await this.#sleepUntil(at, busy);
      if (this.#requests.length === 0) return undefined;
      try {
        return await this.#openNow();
      } catch (error) {
        if (!(error instanceof DatabaseBusyError)) {
          this.#requests.shift()?.refuse(error);
          return undefined;
        }
        busy = error;
      }
      const now = this.clock.monotonic();
      this.#refuse(({ deadline }) => now >= deadline || this.#isClosing, busy);
      at = now + backoffMs(attempt, BUSY_BACKOFF);
    }
  }

  async #openNow(): Promise<CountingConnection> {
    const connection = new CountingConnection(await this.#connect(this.path));
    this.#inode = inodeOf(this.path);
    // Before anything is written: closing takes what differs for our own.
    const fingerprint = this.isShared ? fingerprintOf(this.path) : undefined;
    const isChanged = this.#fingerprint !== undefined &&
      fingerprint !== this.#fingerprint;
    this.#fingerprint = fingerprint;
    let mend: (() => Promise<void>) | undefined;
    try {
      if (this.#needsMore) await connection.run(USE_MORE_MEMORY);
      mend = await this.#options.onOpen(connection);
    } catch (error) {
      connection.close();
      throw this.#explained(error);
    }
    if (mend) {
      connection.close();
      await mend();
      return await this.#openNow();
    }
    this.#openedAt = this.clock.monotonic();
    this.#shortTransactions = 0;
    this.#connection = connection;
    if (isChanged) this.announce();
    return connection;
  }

  /** Whoever waits and is stopped is told at once, and that `busy`. */
  async #sleepUntil(at: number, busy?: DatabaseBusyError): Promise<void> {
    this.#refuseStopped(busy);
    while (this.#requests.length > 0) {
      const ms = at - this.clock.monotonic();
      if (ms <= 0) return;
      const stopped = AbortSignal.any(
        this.#requests.flatMap(({ signal }) => signal ?? []),
      );
      await this.clock.sleep(ms, stopped);
      if (!stopped.aborted) return;
      this.#refuseStopped(busy);
    }
  }

  async #runTwice<T>(
    connection: CountingConnection,
    work: Work<T>,
  ): Promise<T> {
    try {
      return await this.#run(connection, work);
    } catch (error) {
      const isOver = connection !== this.#connection;
      if (isOutOfMemory(error) && !this.#needsMore) {
        this.#needsMore = true;
        // Where DuckDB gave the instance up, nobody knows what it had committed.
        if (isOver && this.#isCommitting) throw error;
        connection = await this.#withMore();
      } else if (isOver || !this.#options.isWorthAnother?.(error)) throw error;
    }
    return await this.#run(connection, work);
  }

  /** From now on; where DuckDB gave the instance up, in a new one. */
  async #withMore(): Promise<CountingConnection> {
    if (!this.#connection) return await this.#openNow();
    await this.#connection.run(USE_MORE_MEMORY);
    return this.#connection;
  }

  async #run<T>(
    connection: CountingConnection,
    work: Work<T>,
  ): Promise<T> {
    const startedAt = this.clock.monotonic();
    const changed = connection.changed;
    try {
      this.#isCommitting = false;
      await connection.run("BEGIN TRANSACTION");
      const result = await work(connection, this.now());
      this.#isCommitting = true;
      await connection.run("COMMIT");
      this.#assertNotReplaced();
      if (connection.changed > changed) {
        for (const { own, call } of this.#listeners) if (own) call();
      }
      return result;
    } catch (error) {
      await this.#rollBack(connection);
      throw this.#explained(error);
    } finally {
      const tookMs = this.clock.monotonic() - startedAt;
      if (tookMs < SHORT_MS) this.#shortTransactions++;
    }
  }

  /** What is written to a file that has no name any more is lost. */
  #assertNotReplaced(): void {
    if (this.path === ":memory:" || inodeOf(this.path) === this.#inode) return;
    this.#drop();
    throw new DatabaseError(
      `Cannot use ${this.path}: another file was put in its place meanwhile. ` +
        "What was just written went to the old one. Try again.",
    );
  }

  async #rollBack(connection: CountingConnection): Promise<void> {
    if (connection !== this.#connection) return;
    try {
      await connection.run("ROLLBACK");
    } catch {
      // DuckDB has rolled back itself, or given the instance up (a full disk).
      // A new one replays what was committed.
      this.#drop();
    }
  }

  #explained(error: unknown): unknown {
    // DuckDB's errors are plain ones that begin with their kind.
    const isDuckDbs = error instanceof Error && error.name === "Error" &&
      /^[A-Z][\w ]* Error: /.test(error.message);
    return isDuckDbs ? explainDuckDbError(error, this.path) : error;
  }

  #isLong(): boolean {
    if (!this.isShared || !this.#connection) return false;
    return this.clock.monotonic() - this.#openedAt >= this.#holdMs ||
      this.#shortTransactions >= HOLD_TRANSACTIONS ||
      logSize(this.path) - this.#keptLog >= HOLD_LOG_BYTES;
  }

  async #close(): Promise<void> {
    if (!this.#connection) return;
    if (logSize(this.path) > 0) {
      try {
        // Closing does it too, but holds up JavaScript meanwhile.
        await this.#connection.run("CHECKPOINT");
        this.#keptLog = 0;
      } catch (error) {
        // The log stays, and with it all that was committed.
        this.#keptLog = logSize(this.path);
        this.#needsMore ||= isOutOfMemory(error);
      }
    }
    this.#drop();
  }

  #drop(): void {
    // Where there is no log, closing changes nothing more; and from then on others
    // may write, before this process looks.
    const fingerprint = logSize(this.path) === 0
      ? fingerprintOf(this.path)
      : undefined;
    this.#connection?.close();
    this.#connection = undefined;
    if (!this.isShared) return;
    // What another process put there is not this one's doing.
    const isReplaced = inodeOf(this.path) !== this.#inode;
    this.#fingerprint = fingerprint ?? fingerprintOf(this.path);
    if (isReplaced) this.announce();
  }
}

/** DuckDB may give up the instance for it, and says what led to that then. */
function isOutOfMemory(error: unknown): boolean {
  return error instanceof Error &&
    (/Out of Memory Error|failed to pin block/.test(error.message) ||
      isOutOfMemory(error.cause));
}

/** Counts the rows that were changed: what read only is told to nobody. */
class CountingConnection implements Connection {
  readonly #connection: Connection;
  changed = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async run(sql: string, values?: readonly SqlValue[]): Promise<number> {
    const count = await this.#connection.run(sql, values);
    this.changed += count;
    return count;
  }

  json<T>(sql: string, values?: readonly SqlValue[]): Promise<T | null> {
    return this.#connection.json(sql, values);
  }

  close(): void {
    this.#connection.close();
  }
}
