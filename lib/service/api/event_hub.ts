/**
 * Follows the events of all tasks for all who watch: where anything changed, one
 * read for all of them. Nothing is done while nobody watches.
 *
 * @module
 */

import type { Clock } from "../../base/clock.ts";
import { messageOf } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { Wake } from "../../base/wake.ts";
import type { Events, StoredEvent } from "../../store/contract.ts";

/** The shortest time between two reads. */
const PAUSE_MS = 200;
/** Where everything changes all the time, reading takes at most this share. */
const MAX_SHARE = 0.1;
const AFTER_FAILURE_MS = 1_000;
/** Events that are read, or handed on, at once. */
const READ_EVENTS = 1_000;
/** Events that are kept for those who are a little behind. */
export const KEPT_EVENTS = 5_000;

/** Options for {@linkcode EventHub}. */
export interface EventHubOptions {
  readonly events: Events;
  readonly clock: Clock;
  readonly log: Log;
  /** Called where there are new events, before those who watch are. */
  readonly onNews?: () => void;
}

/** What is wanted of {@linkcode EventHub.after}. */
export interface AfterOptions {
  /** Only events of this task. */
  readonly taskId?: string;
  /**
   * Nothing where more than so many wait; {@linkcode KEPT_EVENTS} at most.
   * @default {any number}
   */
  readonly maxLag?: number;
}

/** Events after a place. */
export interface EventBatch {
  readonly events: readonly StoredEvent[];
  /** Where to go on. */
  readonly place: string;
  /** More waited than were wanted: they are skipped, up to `place`. */
  readonly isGap: boolean;
}

/** Hands on events. A place in them is a cursor of the store. */
export class EventHub {
  readonly #options: EventHubOptions;
  readonly #watchers = new Set<() => void>();
  #stop = new AbortController();
  #started: Promise<void> | undefined;
  #kept: StoredEvent[] = [];
  /** All events after this place and up to `#last` are kept. */
  #first = "";
  #last = "";

  constructor(options: EventHubOptions) {
    this.#options = options;
  }

  /** How many watch. */
  get watchers(): number {
    return this.#watchers.size;
  }

  /** The place of the newest event that is known. */
  get last(): string {
    return this.#last;
  }

  /**
   * Calls `onNews` when there are new events, until what it returns is disposed
   * of.
   *
   * @throws {DatabaseError} where the store can't be read.
   */
  async watch(onNews: () => void): Promise<Disposable> {
    const leave = () => {
      this.#watchers.delete(onNews);
      if (this.#watchers.size > 0) return;
      this.#stop.abort();
      this.#started = undefined;
    };
    this.#watchers.add(onNews);
    try {
      await (this.#started ??= this.#start());
    } catch (error) {
      leave();
      throw error;
    }
    return { [Symbol.dispose]: leave };
  }

  /** The place itself; the newest one where it is still to come. */
  async known(place: string): Promise<string> {
    const last = this.#last;
    if (this.#indexAfter(place) !== undefined) return place;
    const { events } = await this.#options.events.after(place, { limit: 1 });
    return events.length > 0 ? place : last;
  }

  /** The next events after a place. */
  async after(
    place: string,
    { taskId, maxLag }: AfterOptions = {},
  ): Promise<EventBatch> {
    const isGap = (events: readonly StoredEvent[]) =>
      maxLag !== undefined && events.length > maxLag;
    const index = this.#indexAfter(place);
    if (index !== undefined) {
      const waiting = this.#kept.slice(index);
      const events = taskId === undefined
        ? waiting
        : waiting.filter((it) => it.taskId === taskId);
      return this.#batchOf(events, this.#last, isGap(events));
    }
    const { events: store } = this.#options;
    const limit = Math.max(READ_EVENTS, (maxLag ?? 0) + 1);
    const { events, cursor } = await store.after(place, { limit, taskId });
    return isGap(events)
      ? this.#batchOf(events, await store.last(), true)
      : this.#batchOf(events, cursor, false);
  }

  #batchOf(
    events: readonly StoredEvent[],
    place: string,
    isGap: boolean,
  ): EventBatch {
    if (isGap) return { events: [], place, isGap };
    const some = events.slice(0, READ_EVENTS);
    const isAll = some.length === events.length;
    return { events: some, place: isAll ? place : some.at(-1)!.cursor, isGap };
  }

  /** Undefined where it is not known which of those that are kept come after. */
  #indexAfter(place: string): number | undefined {
    if (place === this.#last) return this.#kept.length;
    if (place === this.#first) return 0;
    const index = this.#kept.findIndex(({ cursor }) => cursor === place);
    return index < 0 ? undefined : index + 1;
  }

  async #start(): Promise<void> {
    const { signal: stop } = this.#stop = new AbortController();
    const { events } = this.#options;
    const wake = new Wake();
    // Before it is looked up which event is the newest: none may fall between.
    const listening = events.onChange(() => wake.wake());
    stop.addEventListener("abort", () => {
      listening[Symbol.dispose]();
      wake.wake();
    });
    const last = await events.last();
    this.#kept = [];
    this.#first = this.#last = last;
    this.#follow(wake, stop);
  }

  async #follow(wake: Wake, stop: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    while (!stop.aborted) {
      await wake.wait(clock);
      if (stop.aborted) return;
      const begunAt = clock.monotonic();
      let pauseMs = PAUSE_MS;
      try {
        if (!await this.#read(stop)) {
          wake.wake();
          pauseMs = 0;
        }
      } catch (error) {
        log.debug(`Cannot read events: ${messageOf(error)}`, {
          event: "events_delayed",
          error: messageOf(error),
        });
        wake.wake();
        pauseMs = AFTER_FAILURE_MS;
      }
      const readMs = clock.monotonic() - begunAt;
      await clock.sleep(Math.max(pauseMs, readMs / MAX_SHARE), stop);
    }
  }

  /** Says whether there was no more to read. */
  async #read(stop: AbortSignal): Promise<boolean> {
    const { events: store, onNews } = this.#options;
    const { events } = await store.after(this.#last, { limit: READ_EVENTS });
    const last = events.at(-1);
    if (!last || stop.aborted) return true;
    this.#kept.push(...events);
    const dropped = this.#kept.splice(0, this.#kept.length - KEPT_EVENTS);
    this.#first = dropped.at(-1)?.cursor ?? this.#first;
    this.#last = last.cursor;
    onNews?.();
    for (const onNews of this.#watchers) onNews();
    return events.length < READ_EVENTS;
  }
}
