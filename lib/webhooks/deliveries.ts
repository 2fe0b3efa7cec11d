/**
 * Delivers to one receiver, apart from everything else: one that hangs holds up
 * nobody but itself.
 *
 * @module
 */

import { backoffMs } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import { messageOf as messageOfError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { Wake } from "../base/wake.ts";
import type {
  Delivery,
  DeliveryResult,
  Exchange,
  Outbox,
  Subscription,
} from "../store/contract.ts";
import { DeliveryLog } from "./log.ts";
import { messageOf } from "./message.ts";
import type { Send } from "./sender.ts";

/** Messages on their way to one receiver at the same time. */
const CONCURRENCY = 8;
/** Deliveries in memory, those on their way included. */
const MAX_IN_HAND = 32;
/** The shortest time between two uses of the store. */
const PAUSE_MS = 100;
/** The longest time between two uses of the store: says that this one lives. */
const MAX_WAIT_MS = 3_600_000;

/** About a day, with the delays between: 5 s, 10 s, … then an hour. */
export const MAX_TRIES = 35;
const PATIENCE = { ms: 86_400_000, tries: MAX_TRIES };
const RETRY = { baseMs: 5_000, maxMs: 3_600_000 };
/** After so many failures in a row, one message at a time finds out. */
const MAX_FAILURES = CONCURRENCY;
const PROBE = { baseMs: 1_000, maxMs: 300_000 };
const AFTER_ERROR = { baseMs: 500, maxMs: 60_000 };

/** Options for {@linkcode Deliveries}. */
export interface DeliveriesOptions {
  readonly outbox: Outbox;
  readonly subscription: Subscription;
  readonly send: Send;
  readonly timeoutMs: number;
  /** What people call the receiver. */
  readonly name: string;
  readonly clock: Clock;
  readonly log: Log;
}

interface Leased {
  readonly delivery: Delivery;
  /** By the clock that never jumps. */
  readonly until: number;
}

/** Delivers what the outbox holds for one receiver. */
export class Deliveries {
  readonly #options: DeliveriesOptions;
  readonly #log: DeliveryLog;
  readonly #stop = new AbortController();
  readonly #inFlight = new Set<Promise<void>>();
  readonly #wake = new Wake();
  #queue: Leased[] = [];
  #finished: DeliveryResult[] = [];
  #hasNews = true;
  #isFinishing = false;
  #isGone = false;
  #errors = 0;
  #failures = 0;
  #probeAt = 0;

  constructor(options: DeliveriesOptions) {
    this.#options = options;
    this.#log = new DeliveryLog(options.log, options.name);
  }

  /** Delivers until it is told to stop, or the receiver wants no more. */
  async run(): Promise<void> {
    while (!this.#stop.signal.aborted && !this.#isGone) {
      // Before: what was recorded while it went on may not be in it.
      const isLast = this.#isFinishing;
      const exchange = await this.#exchange(this.#room());
      this.#sendMore();
      if (isLast && this.#isIdle()) break;
      await this.#wait(exchange);
    }
    await Promise.all(this.#inFlight);
    for (const { delivery: { eventId } } of this.#queue) {
      this.#finished.push({ eventId, kind: "returned" });
    }
    if (this.#finished.length > 0) await this.#exchange(0);
  }

  /** There may be new events. */
  notify(): void {
    this.#hasNews = true;
    this.#wake.wake();
  }

  /** Delivers what is due, and then stops. */
  finish(): void {
    this.#isFinishing = true;
    this.#wake.wake();
  }

  /** Gives back what was not delivered yet, and stops. */
  stop(): void {
    this.#stop.abort();
    this.#wake.wake();
  }

  #isIdle(): boolean {
    return this.#inHand === 0 && this.#finished.length === 0;
  }

  get #inHand(): number {
    return this.#queue.length + this.#inFlight.size;
  }

  #room(): number {
    if (this.#failures < MAX_FAILURES) return MAX_IN_HAND - this.#inHand;
    const mayProbe = this.#options.clock.monotonic() >= this.#probeAt;
    return mayProbe && this.#isIdle() ? 1 : 0;
  }

  /** Undefined where the store can't be used now; nothing is lost by that. */
  async #exchange(limit: number): Promise<Exchange | undefined> {
    const { outbox, subscription, clock, timeoutMs } = this.#options;
    const results = [...this.#finished];
    const leaseMs = (MAX_IN_HAND / CONCURRENCY + 1) * timeoutMs + 5_000;
    this.#hasNews = false;
    try {
      // What the store knew of it may be gone with the file that it was in.
      if (this.#errors > 0) await outbox.register([subscription]);
      const until = clock.monotonic() + leaseMs;
      const exchange = await outbox.exchange(subscription, {
        results,
        limit,
        leaseMs,
        patience: PATIENCE,
      });
      this.#finished = this.#finished.slice(results.length);
      for (const delivery of exchange.deliveries) {
        this.#queue.push({ delivery, until });
      }
      this.#errors = 0;
      this.#noteFailures(exchange.failures);
      if (exchange.givenUp > 0) this.#log.givenUpAll(exchange.givenUp);
      return exchange;
    } catch (error) {
      this.#errors++;
      this.#log.cannotExchange(messageOfError(error));
      return undefined;
    }
  }

  #noteFailures(failures: number): void {
    if (failures === this.#failures) return;
    this.#failures = failures;
    const waitMs = backoffMs(failures - MAX_FAILURES + 1, PROBE);
    this.#probeAt = this.#options.clock.monotonic() + waitMs;
  }

  #sendMore(): void {
    while (this.#inFlight.size < CONCURRENCY && !this.#stop.signal.aborted) {
      const leased = this.#queue.shift();
      if (!leased) return;
      const { delivery } = leased;
      const broken = (error: unknown): DeliveryResult => {
        // A row that no message can be made of, such as one of year 300000.
        this.#log.unsendable(delivery, messageOfError(error));
        const { eventId } = delivery;
        const text = messageOfError(error);
        return { eventId, kind: "failed", error: text, retryMs: null };
      };
      const sending = this.#deliver(leased).catch(broken).then((result) => {
        this.#inFlight.delete(sending);
        this.#finished.push(result);
        this.#isGone ||= result.kind === "gone";
        this.#sendMore();
        this.#wake.wake();
      });
      this.#inFlight.add(sending);
    }
  }

  async #deliver({ delivery, until }: Leased): Promise<DeliveryResult> {
    const { clock, send, subscription } = this.#options;
    const { eventId, tries } = delivery;
    // A busy computer: another runner may have sent it meanwhile.
    if (clock.monotonic() >= until) return { eventId, kind: "returned" };
    const startedAt = clock.monotonic();
    const message = await messageOf(delivery, subscription.endpoint);
    const sent = await send(message, {
      now: clock.now(),
      signal: this.#stop.signal,
    });
    const runMs = clock.monotonic() - startedAt;
    if (sent.isDelivered) {
      this.#log.delivered(delivery, { ...sent, runMs });
      return { eventId, kind: "delivered" };
    }
    if (this.#stop.signal.aborted) return { eventId, kind: "returned" };
    const { error } = sent;
    if (sent.isGone) {
      this.#log.gone(delivery, sent);
      return { eventId, kind: "gone", error };
    }
    const retryMs = tries >= MAX_TRIES ? null : Math.max(
      Math.min(sent.retryAfterMs, RETRY.maxMs),
      backoffMs(tries, RETRY),
    );
    const nextAt = retryMs === null
      ? null
      : new Date(clock.now().getTime() + retryMs);
    this.#log.failed(delivery, { ...sent, runMs, nextAt });
    return { eventId, kind: "failed", error, retryMs };
  }

  /** Until there is something to say to the store. */
  async #wait(exchange: Exchange | undefined): Promise<void> {
    const { clock } = this.#options;
    const startedAt = clock.monotonic();
    if (!exchange) {
      if (this.#isFinishing) return this.stop();
      const until = startedAt + backoffMs(this.#errors, AFTER_ERROR);
      while (this.#mustWait(until) && !this.#isFinishing) {
        await this.#wake.wait(clock, until - clock.monotonic());
      }
      return;
    }
    const nextMs = Math.min(this.#untilNext(exchange), MAX_WAIT_MS);
    const end = startedAt + nextMs;
    while (this.#mustWait(end) && !this.#mayGoOn()) {
      const isSettled = this.#hasNews || this.#finished.length > 0;
      const until = Math.min(end, isSettled ? startedAt + PAUSE_MS : Infinity);
      if (clock.monotonic() >= until) return;
      await this.#wake.wait(clock, until - clock.monotonic());
    }
  }

  #mustWait(until: number): boolean {
    return !this.#stop.signal.aborted &&
      this.#options.clock.monotonic() < until;
  }

  /** Nothing more can happen before the results are recorded. */
  #mayGoOn(): boolean {
    if (this.#isGone) return true;
    return this.#inHand === 0 && (this.#finished.length > 0 ||
      this.#isFinishing && !this.#hasNews);
  }

  #untilNext({ nextMs, deliveries }: Exchange): number {
    const isProbing = this.#failures >= MAX_FAILURES;
    if (!isProbing) return Math.max(nextMs ?? Infinity, PAUSE_MS);
    if (deliveries.length > 0) return Infinity;
    return Math.max(this.#probeAt - this.#options.clock.monotonic(), PAUSE_MS);
  }
}
