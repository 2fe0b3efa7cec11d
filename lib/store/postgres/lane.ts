/**
 * Some sessions with the server, and who uses them next.
 *
 * @module
 */

import type { PostgresAddress } from "./address.ts";
import { isLost } from "./explain.ts";
import { Session } from "./session.ts";

/** Sessions for one kind of work, so that none waits behind another kind. */
export class Lane {
  readonly #address: PostgresAddress;
  readonly #max: number;
  readonly #waiting: (() => void)[] = [];
  readonly #idle: Session[] = [];
  #inUse = 0;
  #isClosing = false;

  constructor(address: PostgresAddress, max: number) {
    this.#address = address;
    this.#max = max;
  }

  /** Uses a session as soon as one is free, unless the signal aborts before. */
  async use<T>(
    work: (session: Session) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    while (this.#inUse >= this.#max) {
      signal?.throwIfAborted();
      await this.#turn(signal);
    }
    signal?.throwIfAborted();
    this.#inUse++;
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
      this.#inUse--;
      // Who closes waits for all of them.
      const next = this.#isClosing ? this.#waiting.length : 1;
      for (const go of this.#waiting.splice(0, next)) go();
    }
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        signal?.removeEventListener("abort", leave);
        resolve();
      };
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(done), 1);
        resolve();
      };
      this.#waiting.push(done);
      signal?.addEventListener("abort", leave, { once: true });
    });
  }

  /** When what was asked for before is done. */
  async close(): Promise<void> {
    this.#isClosing = true;
    while (this.#inUse > 0) await this.#turn(undefined);
    await Promise.all(this.#idle.splice(0).map((session) => session.close()));
  }
}
