/**
 * Slots that are filled from a queue that is filled by claims. Knows nothing of
 * tasks.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { nextTurn } from "../base/event_loop.ts";

/** Options for {@linkcode runPool}. */
export interface PoolOptions<T> {
  /** How many items run at the same time. */
  readonly concurrency: number;
  readonly clock: Clock;
  /** Claims at most `limit` items. */
  readonly claim: (limit: number) => Promise<Claim<T>>;
  /** Runs one item. Resolves when another may start; must not reject. */
  readonly run: (item: T) => Promise<void>;
  /** The bookkeeping of items whose run is over. */
  readonly bookkeeping?: Bookkeeping;
  /**
   * Waits until there may be more to claim, or `until` aborts. Without it, the
   * pool ends when there is nothing left.
   */
  readonly waitForMore?: (until: AbortSignal) => Promise<void>;
  /** Ends the claiming. */
  readonly stop: AbortSignal;
}

/** What is left to do for items that run no more. */
export interface Bookkeeping {
  /** How many items it is behind. */
  readonly size: number;
  /** Resolves when it has dealt with those of now. */
  settled(): Promise<void>;
}

/** What a claim found. */
export interface Claim<T> {
  /** Fewer than asked for means that there are no more now. */
  readonly items: readonly T[];
  /** There are more as soon as a running item ends. */
  readonly isBlocked: boolean;
}

/** What {@linkcode runPool} leaves when it ends. */
export interface PoolRest<T> {
  /** Claimed, but not started. */
  readonly unstarted: readonly T[];
  /** Resolves when the last of the started ones is done. */
  readonly settled: Promise<void>;
}

/**
 * Claims ahead what will start within this time. So a claim of 3 ms never limits
 * short tasks, and a long task is never kept from another runner.
 */
const READ_AHEAD_MS = 500;
/** How much of the mean run time is the last run's. */
const LAST_RUN_SHARE = 0.1;
/**
 * The most items claimed ahead, whatever their speed. With 2,000 more, a drain
 * is 3% faster at best, and takes 20 MB more.
 */
const READ_AHEAD_ITEMS = 15_000;
/**
 * Items that start in one turn of the event loop. Ones that take no time would
 * otherwise keep the store's answers, timers and signals waiting.
 */
const STARTS_PER_TURN = 100;

const NO_BOOKKEEPING: Bookkeeping = {
  size: 0,
  settled: () => Promise.resolve(),
};

/** Runs items until there are no more, or `stop` aborts. */
export async function runPool<T>(
  options: PoolOptions<T>,
): Promise<PoolRest<T>> {
  const { concurrency, clock, claim, run, waitForMore, stop } = options;
  const { bookkeeping = NO_BOOKKEEPING } = options;
  const queue: T[] = [];
  let head = 0;
  let running = 0;
  let meanRunMs: number | undefined;
  let startsLeft = STARTS_PER_TURN;
  let wake = Promise.withResolvers<void>();
  const onStop = () => wake.resolve();
  stop.addEventListener("abort", onStop);

  const waiting = () => queue.length - head;

  /** As many as the slots take within the time, going by the last runs. */
  function readAhead(): number {
    if (meanRunMs === undefined) return 0;
    const perSlot = READ_AHEAD_MS / Math.max(meanRunMs, 1e-3);
    return Math.min(READ_AHEAD_ITEMS, Math.floor(concurrency * perSlot));
  }

  function startWaiting(): void {
    while (running < concurrency && head < queue.length && !stop.aborted) {
      if (startsLeft === 0) return;
      if (startsLeft-- === STARTS_PER_TURN) {
        nextTurn().then(() => {
          startsLeft = STARTS_PER_TURN;
          startWaiting();
        });
      }
      const item = queue[head++] as T;
      running++;
      const startedAt = clock.monotonic();
      run(item).then(() => {
        running--;
        const runMs = clock.monotonic() - startedAt;
        meanRunMs ??= runMs;
        meanRunMs += LAST_RUN_SHARE * (runMs - meanRunMs);
        startWaiting();
        if (running === 0 || waiting() <= readAhead() / 2) wake.resolve();
      });
    }
    if (head === queue.length) {
      queue.length = 0;
      head = 0;
    }
  }

  async function nextWake(): Promise<void> {
    const current = wake;
    await current.promise;
    // Whoever else waited may have made a new one already.
    if (wake === current) wake = Promise.withResolvers();
  }

  while (!stop.aborted) {
    const ahead = readAhead();
    const room = concurrency + ahead - waiting() - running;
    if (bookkeeping.size > READ_AHEAD_ITEMS) {
      await bookkeeping.settled();
      continue;
    }
    if (room <= 0 || waiting() > ahead / 2) {
      await nextWake();
      continue;
    }
    const { items, isBlocked } = await claim(room);
    for (const item of items) queue.push(item);
    startWaiting();
    if (items.length === room) continue;
    const freed = new AbortController();
    const next = isBlocked && (running > 0 || waiting() > 0)
      ? nextWake().then(() => freed.abort())
      : undefined;
    if (waitForMore) await waitForMore(freed.signal);
    else if (next) await next;
    else {
      while ((running > 0 || waiting() > 0) && !stop.aborted) await nextWake();
      break;
    }
  }
  stop.removeEventListener("abort", onStop);

  async function settle(): Promise<void> {
    while (running > 0) await nextWake();
    while (bookkeeping.size > 0) await bookkeeping.settled();
  }
  return { unstarted: queue.slice(head), settled: settle() };
}
