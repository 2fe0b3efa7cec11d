/**
 * Some sessions with the server, and who uses them next.
 *
 * @module
 */

import type { PostgresAddress } from "./address.ts";
import { isLost, SessionsBusyError } from "./explain.ts";
import { Session } from "./session.ts";

/** Options for {@linkcode Lane}. */
export interface LaneOptions {
  /** How many sessions at most. */
  readonly max: number;
  /** How many of them are for the work that is first only. @default {0} */
  readonly kept?: number;
}

/** Options for {@linkcode Lane.use}. */
export interface UseOptions {
  /** May have the sessions that are kept. @default {false} */
  readonly isFirst?: boolean;
  /** Ends the wait for a session. */
  readonly signal?: AbortSignal;
  /** How long to wait for a session. @default {as long as it takes} */
  readonly waitMs?: number;
}

/** Who waits for a session. */
interface Waiting {
  readonly isFirst: boolean;
  /** Called when it has one. */
  readonly go: () => void;
}

/** The longest that one timer waits. */
const MAX_TIMER_MS = 2_147_483_647;

/** Sessions for one kind of work, so that none waits behind another kind. */
export class Lane {
  readonly #address: PostgresAddress;
  readonly #max: number;
  /** How many sessions work may have that is not first. */
  readonly #maxOthers: number;
  readonly #waiting = new Set<Waiting>();
  readonly #idle: Session[] = [];
  #inUse = 0;
  /** Those of them by work that is not first. */
  #others = 0;
  #onEmpty: (() => void) | undefined;

  constructor(address: PostgresAddress, { max, kept = 0 }: LaneOptions) {
    this.#address = address;
    this.#max = max;
    this.#maxOthers = max - kept;
  }

  /**
   * Uses a session as soon as one is free.
   *
   * @throws {SessionsBusyError} where none was for all of the wait.
   * @throws what the signal aborts with
   */
  async use<T>(
    work: (session: Session) => Promise<T>,
    options: UseOptions = {},
  ): Promise<T> {
    const { isFirst = false } = options;
    options.signal?.throwIfAborted();
    if (this.#hasRoom(isFirst)) this.#take(isFirst);
    else await this.#turn(isFirst, options);
    const session = this.#idle.pop() ?? new Session(this.#address);
    try {
      const result = await work(session);
      this.#idle.push(session);
      return result;
    } catch (error) {
      // What is left of a lost connection is not worth anything.
      if (isLost(error)) session.giveUp();
      else this.#idle.push(session);
      throw error;
    } finally {
      this.#leave(isFirst);
    }
  }

  #hasRoom(isFirst: boolean): boolean {
    return this.#inUse < this.#max &&
      (isFirst || this.#others < this.#maxOthers);
  }

  #take(isFirst: boolean): void {
    this.#inUse++;
    if (!isFirst) this.#others++;
  }

  /** Gives the session to who waits longest and may have it. */
  #leave(isFirst: boolean): void {
    this.#inUse--;
    if (!isFirst) this.#others--;
    for (const next of this.#waiting) {
      if (!this.#hasRoom(next.isFirst)) continue;
      this.#take(next.isFirst);
      next.go();
      break;
    }
    if (this.#inUse === 0) this.#onEmpty?.();
  }

  #turn(isFirst: boolean, { signal, waitMs }: UseOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = () => {
        this.#waiting.delete(waiting);
        signal?.removeEventListener("abort", abort);
        clearTimeout(timer);
      };
      const abort = () => {
        end();
        reject(signal?.reason);
      };
      const waiting = {
        isFirst,
        go: () => {
          end();
          resolve();
        },
      };
      const timer = waitMs === undefined ? undefined : setTimeout(() => {
        end();
        reject(new SessionsBusyError());
      }, Math.min(waitMs, MAX_TIMER_MS));
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiting.add(waiting);
    });
  }

  /** When what was asked for before is done. */
  async close(): Promise<void> {
    if (this.#inUse > 0) {
      await new Promise<void>((resolve) => this.#onEmpty = resolve);
    }
    await Promise.all(this.#idle.splice(0).map((session) => session.close()));
  }
}
