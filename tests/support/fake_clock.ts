/**
 * A clock that stands still until a test moves it.
 *
 * @module
 */

import type { Clock } from "../../lib/base/clock.ts";

/** Options for {@linkcode FakeClock}. */
export interface FakeClockOptions {
  /** @default {2026-01-19T18:30:00Z} */
  readonly start?: Date;
  /** A sleep moves the time itself, in a later turn of the event loop. */
  readonly autoAdvance?: boolean;
}

interface Sleeper {
  readonly dueMs: number;
  readonly wake: () => void;
}

/** See {@linkcode FakeClockOptions}. */
export class FakeClock implements Clock {
  readonly #startMs: number;
  readonly #autoAdvance: boolean;
  readonly #sleepers = new Set<Sleeper>();
  #elapsedMs = 0;
  #jumpedMs = 0;

  constructor(
    { start = new Date("2026-01-19T18:30:00Z"), autoAdvance = false }:
      FakeClockOptions = {},
  ) {
    this.#startMs = start.getTime();
    this.#autoAdvance = autoAdvance;
  }

  now(): Date {
    return new Date(this.#startMs + this.#elapsedMs + this.#jumpedMs);
  }

  monotonic(): number {
    return this.#elapsedMs;
  }

  /** Sets the wall clock forward. */
  jump(ms: number): void {
    this.#jumpedMs += ms;
  }

  /** How many sleep. */
  get sleepers(): number {
    return this.#sleepers.size;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted || ms <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        this.#sleepers.delete(sleeper);
        signal?.removeEventListener("abort", wake);
        resolve();
      };
      const sleeper = { dueMs: this.#elapsedMs + ms, wake };
      this.#sleepers.add(sleeper);
      signal?.addEventListener("abort", wake, { once: true });
      if (this.#autoAdvance) {
        turn().then(() => this.#wakeNext(Number.MAX_VALUE));
      }
    });
  }

  /**
   * Moves the time on. Those who are due wake in their order, each at its own
   * time, and run until they wait again.
   */
  async advance(ms: number): Promise<void> {
    const endMs = this.#elapsedMs + ms;
    await turn();
    while (this.#wakeNext(endMs)) await turn();
    this.#elapsedMs = Math.max(this.#elapsedMs, endMs);
  }

  #wakeNext(endMs: number): boolean {
    let next: Sleeper | undefined;
    for (const sleeper of this.#sleepers) {
      if (!next || sleeper.dueMs < next.dueMs) next = sleeper;
    }
    if (!next || next.dueMs > endMs) return false;
    this.#elapsedMs = Math.max(this.#elapsedMs, next.dueMs);
    next.wake();
    return true;
  }
}

/** Lets everything run that waits for nothing but its turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
