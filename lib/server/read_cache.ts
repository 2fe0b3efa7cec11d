/**
 * One read for all who ask the same while nothing changes.
 *
 * @module
 */

import type { Clock } from "../clock.ts";

/** Answers that are kept. */
const MAX_ENTRIES = 50;
/** Where everything changes all the time, reading takes at most this share. */
const MAX_SHARE = 0.1;

/** Options for {@linkcode ReadCache}. */
export interface ReadCacheOptions {
  readonly clock: Clock;
  /** A text that changes with whatever is read. */
  readonly version: () => string;
}

interface Entry {
  readonly version: string;
  readonly value: Promise<unknown>;
  readonly begunAt: number;
  /** Good until then, whatever changes. */
  freshUntil: number;
}

/** Keeps what was read until it changes. */
export class ReadCache {
  readonly #options: ReadCacheOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: ReadCacheOptions) {
    this.#options = options;
  }

  /**
   * What `read` gives, or gave since the last change.
   *
   * @param minAgeMs what is no older need not be true any more. Default: it must.
   */
  async get<T>(
    key: string,
    read: () => Promise<T>,
    minAgeMs?: number,
  ): Promise<T> {
    const { clock, version: currentVersion } = this.#options;
    const begunAt = clock.monotonic();
    const version = currentVersion();
    const known = this.#entries.get(key);
    const isFresh = known?.version === version ||
      known && minAgeMs !== undefined && begunAt < known.freshUntil;
    if (known && isFresh) return await known.value as T;
    const value = read();
    const entry: Entry = { version, value, begunAt, freshUntil: Infinity };
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > MAX_ENTRIES && oldest !== undefined) {
      this.#entries.delete(oldest);
    }
    try {
      return await value;
    } catch (error) {
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
      throw error;
    } finally {
      const now = clock.monotonic();
      const restMs = (now - begunAt) / MAX_SHARE;
      entry.freshUntil = now + Math.max(minAgeMs ?? 0, restMs);
    }
  }
}
