/**
 * Some connections to the server, and who uses them next.
 *
 * @module
 */

import { type Client, openClient } from "./connection.ts";
import type { PostgresAddress } from "./address.ts";

/** Connections for one kind of work, so that none waits behind another kind. */
export class Lane {
  readonly #address: PostgresAddress;
  readonly #max: number;
  readonly #waiting: (() => void)[] = [];
  #inUse = 0;
  #client: Client;

  constructor(address: PostgresAddress, max: number) {
    this.#address = address;
    this.#max = max;
    this.#client = openClient(address, { max });
  }

  /** Uses a connection as soon as one is free, unless the signal aborts before. */
  async use<T>(
    work: (client: Client) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    if (this.#inUse >= this.#max) await this.#turn(signal);
    signal?.throwIfAborted();
    this.#inUse++;
    try {
      return await work(this.#client);
    } finally {
      this.#inUse--;
      this.#waiting.shift()?.();
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

  /** One of its connections hangs: all are given up, and others are opened. */
  renew(client: Client): void {
    if (client !== this.#client) return;
    this.#client = openClient(this.#address, { max: this.#max });
    client.end({ timeout: 0 });
  }

  async close(): Promise<void> {
    await this.#client.end({ timeout: 5 });
  }
}
