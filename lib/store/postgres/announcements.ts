/**
 * Who is told of changes: those who listen in this process at once, and those in
 * others by NOTIFY, and where that does not arrive, by looking.
 *
 * @module
 */

import type { Clock } from "../../base/clock.ts";
import type { PostgresAddress } from "./address.ts";
import { type Client, type Connection, openClient } from "./connection.ts";

/** What has changed: the history, or also what may be claimed. */
export type Waked = "events" | "tasks";

/** Options for {@linkcode Announcements}. */
export interface AnnouncementsOptions {
  readonly clock: Clock;
  readonly onProblem: (message: string) => void;
  readonly notify: (channel: string, payload: string) => Promise<void>;
  readonly read: <T>(
    work: (connection: Connection) => Promise<T>,
  ) => Promise<T>;
}

/** Whoever waits until others are told, waits no longer: they look, too. */
const SENT_MS = 5_000;
/** How often to look, where LISTEN works */
const LOOK_MS = 5_000;
/** and where it does not. */
const LOOK_ALONE_MS = 250;
/** The longest wait for events that another transaction holds back. */
const AGAIN_MS = 2_000;
/** A notification of one's own that is later than that does not come any more. */
const ECHO_MS = 3_000;
/** A connection that does not listen by then hangs half open. */
const LISTEN_MS = 10_000;
/** How often it is tried whether LISTEN works: a connection may hang half open. */
const PROBE_MS = 30_000;

/**
 * A NOTIFY in a transaction that writes takes a lock of the whole server until its
 * COMMIT is over. So it is sent afterwards, one at a time for all that was committed
 * meanwhile.
 */
export class Announcements implements AsyncDisposable {
  /** What others end leaves room for tasks here. */
  sharesRoom = false;
  readonly #address: PostgresAddress;
  readonly #options: AnnouncementsOptions;
  readonly #id = crypto.randomUUID();
  readonly #listeners = {
    tasks: new Set<() => void>(),
    events: new Set<() => void>(),
  };
  readonly #unsent = new Set<Waked>();
  #sending: Promise<void> | undefined;
  #client: Client | undefined;
  #isHeard = false;
  #hasToldDeaf = false;
  #probedAt = -Infinity;
  #probe: Promise<void> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looking: Promise<void> | undefined;
  #place: Place | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;
  #againMs = 0;
  #isClosing = false;

  constructor(address: PostgresAddress, options: AnnouncementsOptions) {
    this.#address = address;
    this.#options = options;
  }

  /** Calls `listener` soon after such a change: of anybody, or of others. */
  on(what: Waked, listener: () => void): Disposable {
    const entry = () => listener();
    this.#listeners[what].add(entry);
    this.#timer ??= setTimeout(() => this.#lookNow(), 0);
    return {
      [Symbol.dispose]: () => {
        this.#listeners[what].delete(entry);
        if (!this.#hasListeners) this.#stop();
      },
    };
  }

  /** Something was committed here. */
  tell(what: Waked): void {
    this.#call(this.#listeners.events);
    this.#unsent.add(what);
    this.#sending ??= this.#send().finally(() => this.#sending = undefined);
  }

  /** People in this process changed what may be claimed. */
  tellQueue(): void {
    this.#call(this.#listeners.tasks);
  }

  /** Resolves when what was committed before was sent, or can't be sent soon. */
  async sent(): Promise<void> {
    const late = Promise.withResolvers<void>();
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      late.resolve();
    }, SENT_MS);
    while (this.#sending && !isLate) {
      await Promise.race([this.#sending, late.promise]);
    }
    clearTimeout(timer);
  }

  /** There are events that can't be read yet: listeners are told once more. */
  tellAgain(): void {
    if (this.#again !== undefined || this.#listeners.events.size === 0) return;
    this.#againMs = Math.min(Math.max(5, this.#againMs * 2), AGAIN_MS);
    this.#again = setTimeout(() => {
      this.#again = undefined;
      this.#call(this.#listeners.events);
    }, this.#againMs);
  }

  /** All events could be read. */
  isCaughtUp(): void {
    this.#againMs = 0;
  }

  /** Those of another schema have their own. */
  get #channel(): string {
    return this.#address.schema;
  }

  get #hasListeners(): boolean {
    return this.#listeners.tasks.size + this.#listeners.events.size > 0;
  }

  #call(listeners: ReadonlySet<() => void>): void {
    for (const call of listeners) call();
  }

  async #send(): Promise<void> {
    while (this.#unsent.size > 0) {
      const what = this.#unsent.has("tasks") ? "tasks" : "events";
      this.#unsent.clear();
      try {
        await this.#options.notify(this.#channel, `${this.#id} ${what}`);
      } catch {
        // The server is away: others see it when they look.
      }
    }
  }

  #heard(payload: string): void {
    const [id, what] = payload.split(" ");
    if (id === this.#id) {
      if (what === "probe") this.#isHeard = true;
      return;
    }
    this.#call(this.#listeners.events);
    if (what === "tasks") this.#call(this.#listeners.tasks);
  }

  #lookNow(): void {
    this.#looking = this.#look().finally(() => {
      this.#looking = undefined;
      if (!this.#hasListeners || this.#isClosing) return this.#stop();
      const ms = this.#isHeard ? LOOK_MS : LOOK_ALONE_MS;
      this.#timer = setTimeout(() => this.#lookNow(), ms);
    });
  }

  async #look(): Promise<void> {
    const { clock, read } = this.#options;
    if (clock.monotonic() - this.#probedAt >= PROBE_MS) {
      this.#probedAt = clock.monotonic();
      this.#probe ??= this.#tryListening().finally(() =>
        this.#probe = undefined
      );
    }
    try {
      const before = this.#place;
      const now = await read((connection) =>
        readPlace(connection, before, this.sharesRoom)
      );
      this.#place = now;
      if (!before || now.xid === before.xid && now.id === before.id) return;
      this.#call(this.#listeners.events);
      if (now.isClaimable) this.#call(this.#listeners.tasks);
    } catch {
      // The server is away: the next look comes soon, and its users say so.
    }
  }

  /** Listens, and finds out whether anything arrives. */
  async #tryListening(): Promise<void> {
    this.#isHeard = false;
    try {
      if (!this.#client) {
        const client: Client = openClient(this.#address, {
          max: 1,
          onNotify: (_, payload) => this.#heard(payload),
          onClose: () => this.#lost(client),
        });
        this.#client = client;
        const listens = client.unsafe(`LISTEN "${this.#channel}"`);
        if (!await isDone(listens, LISTEN_MS)) return this.#lost(client);
      }
      await this.#options.notify(this.#channel, `${this.#id} probe`);
    } catch {
      // As below: nothing arrives.
    }
    const deadline = this.#options.clock.monotonic() + ECHO_MS;
    while (!this.#isHeard && !this.#isClosing) {
      if (this.#options.clock.monotonic() >= deadline) return this.#deaf();
      await this.#options.clock.sleep(20);
    }
  }

  #lost(client: Client): void {
    if (client !== this.#client) return;
    this.#client = undefined;
    this.#isHeard = false;
    this.#probedAt = -Infinity;
    client.end({ timeout: 0 });
  }

  #deaf(): void {
    const client = this.#client;
    this.#client = undefined;
    client?.end({ timeout: 0 });
    if (!client || this.#hasToldDeaf) return;
    this.#hasToldDeaf = true;
    this.#options.onProblem(
      "LISTEN does not arrive at " + this.#address.shown + ", as behind " +
        `PgBouncer in transaction mode: changes are looked for every ${LOOK_ALONE_MS} ms ` +
        "instead. Give the address of the server itself to be told at once.",
    );
  }

  #stop(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#again);
    this.#timer = this.#again = undefined;
    const client = this.#client;
    this.#client = undefined;
    this.#isHeard = false;
    this.#probedAt = -Infinity;
    client?.end({ timeout: 0 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true;
    this.#stop();
    await Promise.all([this.sent(), this.#looking, this.#probe]);
    this.#stop();
  }
}

/** Whether it ends within that time. */
async function isDone(work: Promise<unknown>, ms: number): Promise<boolean> {
  const late = Promise.withResolvers<false>();
  const timer = setTimeout(() => late.resolve(false), ms);
  try {
    return await Promise.race([work.then(() => true), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** How far the history is, and whether people did something since. */
interface Place {
  readonly xid: string;
  readonly id: number;
  readonly isClaimable: boolean;
}

/** Where there are more, some may be claimed. */
const MOST_READ = 1_000;

/** Looks whether there is anything since then. */
export async function readPlace(
  connection: Connection,
  since: Place | undefined,
  sharesRoom: boolean,
): Promise<Place> {
  // In the index's order: else all events are read, to find none.
  const [last] = await connection.rows<Place>(
    `SELECT xid::text AS xid, id, $1::boolean AND (
         SELECT coalesce(bool_or(mayBeClaimed), false) OR count(*) = ${MOST_READ}
         FROM (
           SELECT $4::boolean AND kind IN ('completed', 'failed', 'cancelled',
               'needs_input', 'retry_scheduled', 'limited', 'handed_over',
               'released')
             OR kind IN ('completed', 'failed', 'cancelled', 'skipped')
             AND EXISTS (SELECT FROM agent_task_dependencies d
               WHERE d.after_id = e.task_id)
             OR runner IS NULL
             AND kind IN ('created', 'answered', 'approved', 'retried',
               'released')
             AS mayBeClaimed
           FROM agent_task_events e
           WHERE (e.xid, e.id) > ($2::xid8, $3::bigint)
             AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
           ORDER BY e.xid, e.id LIMIT ${MOST_READ}) recent) AS "isClaimable"
     FROM agent_task_events
     WHERE xid < pg_snapshot_xmin(pg_current_snapshot())
     ORDER BY agent_task_events.xid DESC, id DESC LIMIT 1`,
    [since !== undefined, since?.xid ?? "0", since?.id ?? 0, sharesRoom],
  );
  return last ?? { xid: "0", id: 0, isClaimable: false };
}
