/**
 * One read for all who ask the same while nothing changes.
 *
 * @module
 */

import type { Clock } from "../../base/clock.ts";

/** Values that are kept. */
const MAX_ENTRIES = 50;
/** And how large they may be together, in characters: a trace may have a million. */
const MAX_CHARACTERS = 16 * 1024 * 1024;
/** Where everything changes all the time, reading takes at most this share. */
const MAX_SHARE = 0.1;

/** How true what was read must still be. Durations are in milliseconds. */
export interface ReadOptions {
  /**
   * What is no older need not be true any more; nor what took long to read, for a
   * while. Default: it must be true.
   */
  readonly minAgeMs?: number;
  /**
   * What is older is read again though nothing was changed: what is due comes by
   * time alone. @default {Infinity}
   */
  readonly maxAgeMs?: number;
}

interface Entry {
  /** How many changes there had been. */
  readonly changes: number;
  readonly value: Promise<unknown>;
  readonly begunAt: number;
  /** Good until then, whatever changes. */
  freshUntil: number;
  /** In characters; 0 while it is read. */
  size: number;
}

/** Keeps what was read until it changes. */
export class ReadCache {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  #changes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What was read before may not be true any more. */
  changed(): void {
    this.#changes++;
  }

  /** What `read` gives, or gave since the last change. */
  async get<T>(
    key: string,
    read: () => Promise<T>,
    { minAgeMs, maxAgeMs = Infinity }: ReadOptions = {},
  ): Promise<T> {
    const begunAt = this.#clock.monotonic();
    const changes = this.#changes;
    const known = this.#entries.get(key);
    const isFresh = known && begunAt - known.begunAt < maxAgeMs &&
      (known.changes === changes ||
        minAgeMs !== undefined && begunAt < known.freshUntil);
    if (isFresh) return await known.value as T;
    const value = read();
    const entry: Entry = {
      changes,
      value,
      begunAt,
      freshUntil: Infinity,
      size: 0,
    };
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    this.#dropOldest();
    try {
      const read = await value;
      entry.size = sizeOf(read);
      this.#dropOldest();
      return read;
    } catch (error) {
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
      throw error;
    } finally {
      const now = this.#clock.monotonic();
      const restMs = (now - begunAt) / MAX_SHARE;
      entry.freshUntil = now + Math.max(minAgeMs ?? 0, restMs);
    }
  }

  #dropOldest(): void {
    let size = 0;
    for (const entry of this.#entries.values()) size += entry.size;
    for (const [key, entry] of this.#entries) {
      if (this.#entries.size <= MAX_ENTRIES && size <= MAX_CHARACTERS) return;
      this.#entries.delete(key);
      size -= entry.size;
    }
  }
}

/** About how many characters a value has as JSON, without making it one. */
function sizeOf(value: unknown): number {
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null) return 8;
  return Object.values(value).reduce((sum, it) => sum + sizeOf(it), 8);
}
