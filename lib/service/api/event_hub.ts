/**
 * Follows the events of all tasks for all who watch: one look at whether
 * anything changed for all of them, and one read where it did. Nothing is done
 * while nobody watches.
 *
 * @module
 */

import type { Clock } from "../../base/clock.ts";
import { messageOf } from "../../base/errors.ts";
import type { TaskFeed } from "../../store/feed.ts";
import type { Log } from "../../base/log.ts";
import type { TaskEvent } from "../../task/task.ts";

/** How often to look whether anything changed. */
const LOOK_MS = 200;
/** Where everything changes all the time, reading takes at most this share. */
const MAX_SHARE = 0.1;
const AFTER_FAILURE_MS = 1_000;
/** Events that are read at once. */
const READ_EVENTS = 1_000;
/** Events that are kept for those who are a little behind. */
const KEPT_EVENTS = 5_000;

/** Options for {@linkcode EventHub}. */
export interface EventHubOptions {
  readonly feed: TaskFeed;
  readonly clock: Clock;
  readonly log: Log;
}

/** Events after a place. */
export interface EventBatch {
  readonly events: readonly TaskEvent[];
  /** Where to go on: up to here, there are no others. */
  readonly reached: number;
}

/** Hands on events, with their ids as places. */
export class EventHub {
  readonly #options: EventHubOptions;
  readonly #watchers = new Set<() => void>();
  #stop = new AbortController();
  #started: Promise<void> | undefined;
  #kept: TaskEvent[] = [];
  /** All events after this one and up to `#last` are kept. */
  #first = 0;
  #last = 0;

  constructor(options: EventHubOptions) {
    this.#options = options;
  }

  /** How many watch. */
  get watchers(): number {
    return this.#watchers.size;
  }

  /** The newest event that is known. */
  get last(): number {
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

  /** The next events after a place. */
  async after(place: number, taskId?: string): Promise<EventBatch> {
    const last = this.#last;
    const isKept = place >= this.#first;
    const events = isKept
      ? this.#keptAfter(place)
      : await this.#options.feed.eventsAfter(place, {
        limit: READ_EVENTS,
        taskId,
      });
    const lastRead = events.at(-1)?.id ?? place;
    return {
      events: isKept && taskId !== undefined
        ? events.filter((it) => it.taskId === taskId)
        : events,
      reached: events.length < READ_EVENTS
        ? Math.max(lastRead, last)
        : lastRead,
    };
  }

  #keptAfter(place: number): TaskEvent[] {
    const start = this.#kept.findIndex(({ id }) => id > place);
    return start < 0 ? [] : this.#kept.slice(start, start + READ_EVENTS);
  }

  async #start(): Promise<void> {
    const stop = this.#stop = new AbortController();
    const { feed } = this.#options;
    const version = feed.version();
    const last = await feed.lastEventId();
    this.#kept = [];
    this.#first = this.#last = last;
    this.#follow(version, stop.signal);
  }

  async #follow(startVersion: string, stop: AbortSignal): Promise<void> {
    const { feed, clock, log } = this.#options;
    let seen = startVersion;
    let waitMs = LOOK_MS;
    while (!stop.aborted) {
      await clock.sleep(waitMs, stop);
      waitMs = LOOK_MS;
      const version = feed.version();
      if (stop.aborted || version === seen) continue;
      const begunAt = clock.monotonic();
      try {
        const isAll = await this.#read(stop);
        if (isAll) seen = version;
        const readMs = clock.monotonic() - begunAt;
        waitMs = Math.max(isAll ? LOOK_MS : 0, readMs / MAX_SHARE);
      } catch (error) {
        log.debug(`Cannot read events: ${messageOf(error)}`, {
          event: "events_delayed",
          error: messageOf(error),
        });
        waitMs = AFTER_FAILURE_MS;
      }
    }
  }

  /** Says whether there was no more to read. */
  async #read(stop: AbortSignal): Promise<boolean> {
    const events = await this.#options.feed.eventsAfter(this.#last, {
      limit: READ_EVENTS,
    });
    const last = events.at(-1);
    if (!last || stop.aborted) return true;
    this.#kept.push(...events);
    const dropped = this.#kept.splice(0, this.#kept.length - KEPT_EVENTS);
    this.#first = dropped.at(-1)?.id ?? this.#first;
    this.#last = last.id;
    for (const onNews of this.#watchers) onNews();
    return events.length < READ_EVENTS;
  }
}
