/**
 * Tells the configured receivers what became of tasks. Runs beside the runner,
 * which never waits for it.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Store, Subscription } from "../store/contract.ts";
import type { WebhookSettings } from "./config.ts";
import { Deliveries } from "./deliveries.ts";
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
  readonly store: Pick<Store, "outbox" | "events">;
  readonly clock: Clock;
  readonly log: Log;
}

/** Webhooks at work; dispose of them to stop at once. */
export interface Webhooks extends AsyncDisposable {
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
  const { outbox, events } = store;
  await outbox.register(receivers.map(({ subscription }) => subscription));
  const all = receivers.map(({ settings: { timeoutMs }, ...receiver }) =>
    new Deliveries({ ...receiver, timeoutMs, outbox, clock, log })
  );
  const listening = events.onChange(() => all.forEach((it) => it.notify()));
  const done = Promise.all(all.map((it) => it.run()));
  const stop = async () => {
    listening[Symbol.dispose]();
    all.forEach((it) => it.stop());
    await done;
  };
  return {
    async finish({ withinMs, signal }) {
      all.forEach((it) => it.finish());
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
