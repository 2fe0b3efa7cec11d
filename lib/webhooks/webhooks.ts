/**
 * Tells the configured receivers what became of tasks. Runs beside the runner,
 * which never waits for it.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import type { RunnerEvents } from "../runner/events.ts";
import type { Log } from "../base/log.ts";
import type { Outbox, Subscription } from "../store/outbox.ts";
import type { WebhookSettings } from "./config.ts";
import { Courier } from "./deliveries.ts";
import { endpointOf } from "./message.ts";
import { createSender, type Send } from "./sender.ts";

/** A receiver as configured, and what sends to it. */
export interface Receiver {
  readonly settings: WebhookSettings;
  readonly subscription: Subscription;
  /** Its host and place in the configuration: the rest may be a secret. */
  readonly name: string;
  readonly send: Send;
}

/**
 * Makes what sends to each receiver.
 *
 * @throws {UsageError} where a secret is missing.
 */
export function createReceivers(
  webhooks: readonly WebhookSettings[],
  env: (name: string) => string | undefined,
): Promise<Receiver[]> {
  return Promise.all(webhooks.map(async (settings, index) => ({
    settings,
    name: webhookName(settings, index),
    subscription: await subscriptionOf(settings),
    send: createSender(settings, env),
  })));
}

/** What to call a webhook where its URL must not be shown. */
export function webhookName({ url }: WebhookSettings, index: number): string {
  return `${new URL(url).host} (webhooks[${index}])`;
}

/** A webhook's URL without its query, where secrets often are. */
export function shownUrl({ url }: WebhookSettings): string {
  const { origin, pathname, search } = new URL(url);
  return `${origin}${pathname}${search === "" ? "" : "?…"}`;
}

/** What a webhook wants of the outbox. */
export async function subscriptionOf(
  { url, on, providers }: WebhookSettings,
): Promise<Subscription> {
  return {
    endpoint: await endpointOf(url),
    events: on,
    ...providers && { providers },
  };
}

/** Options for {@linkcode startWebhooks}. */
export interface WebhooksOptions {
  readonly receivers: readonly Receiver[];
  readonly store: {
    readonly outbox: Outbox;
    changeCount(): Promise<number>;
  };
  readonly clock: Clock;
  readonly log: Log;
}

/** Webhooks at work; dispose of them to stop at once. */
export interface Webhooks extends AsyncDisposable {
  /** Delivers sooner what the runner of this process does. */
  follow(events: RunnerEvents): Disposable;
  /**
   * Delivers what is due for at most so long. What is left is delivered at the
   * next start.
   */
  finish(
    options: { readonly withinMs: number; readonly signal?: AbortSignal },
  ): Promise<void>;
}

/**
 * Starts to deliver. A receiver that is new gets the events from now on.
 *
 * @throws {DatabaseError} where the store can't be used.
 */
export async function startWebhooks(
  { receivers, store, clock, log }: WebhooksOptions,
): Promise<Webhooks> {
  const { outbox } = store;
  await outbox.register(
    receivers.map(({ subscription }) => subscription),
    clock.now(),
  );
  const couriers = receivers.map(({ settings: { timeoutMs }, ...receiver }) =>
    new Courier({
      ...receiver,
      timeoutMs,
      outbox,
      changeCount: () => store.changeCount(),
      clock,
      log,
    })
  );
  const done = Promise.all(couriers.map((courier) => courier.run()));
  const stop = async () => {
    for (const courier of couriers) courier.stop();
    await done;
  };
  return {
    follow: (events) =>
      events.subscribe(() => {
        for (const courier of couriers) courier.notify();
      }),
    async finish({ withinMs, signal }) {
      for (const courier of couriers) courier.finish();
      const finished = new AbortController();
      const end = signal
        ? AbortSignal.any([signal, finished.signal])
        : finished.signal;
      await Promise.race([done, clock.sleep(withinMs, end)]);
      finished.abort();
      await stop();
    },
    [Symbol.asyncDispose]: stop,
  };
}
