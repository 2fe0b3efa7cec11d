/**
 * What is said of deliveries to one receiver.
 *
 * @module
 */

import type { Log, LogFields } from "../base/log.ts";
import type { Delivery } from "../store/contract.ts";
import type { SendResult } from "./sender.ts";

/** Writes a line for each delivery that went wrong, and for each recovery. */
export class DeliveryLog {
  readonly #log: Log;
  readonly #name: string;
  #isFailing = false;

  constructor(log: Log, name: string) {
    this.#log = log;
    this.#name = name;
  }

  delivered(
    delivery: Delivery,
    sent: SendResult & { readonly runMs: number },
  ): void {
    if (this.#isFailing) {
      this.#log.info(`Webhook ${this.#name} takes events again`, {
        event: "webhook_recovered",
        webhook: this.#name,
      });
    }
    this.#isFailing = false;
    if (!this.#log.isDebug) return;
    this.#log.debug(
      `Webhook ${this.#name} got "${delivery.event}" of task ${delivery.taskId}`,
      this.#fields("webhook_delivered", delivery, sent),
    );
  }

  failed(
    delivery: Delivery,
    sent: SendResult & { readonly runMs: number; readonly nextAt: Date | null },
  ): void {
    const what = `Webhook ${this.#name} did not get "${delivery.event}" of ` +
      `task ${delivery.taskId}: ${sent.error}.`;
    const event = sent.nextAt ? "webhook_failed" : "webhook_given_up";
    const fields = this.#fields(event, delivery, sent);
    this.#isFailing = true;
    if (!sent.nextAt) {
      this.#log.error(`${what} Given up after ${delivery.tries} tries`, fields);
      return;
    }
    const at = sent.nextAt.toISOString();
    this.#log.warning(`${what} Next try at ${at}`, fields);
  }

  gone(delivery: Delivery, sent: SendResult): void {
    this.#log.error(
      `Webhook ${this.#name} is gone (HTTP 410): it gets nothing more until ` +
        "the next start, and then what happens from then on",
      this.#fields("webhook_gone", delivery, sent),
    );
  }

  unsendable({ taskId, eventId, event }: Delivery, error: string): void {
    this.#log.error(
      `Webhook ${this.#name} can't be told "${event}" of task ${taskId}: ${error}`,
      {
        event: "webhook_given_up",
        webhook: this.#name,
        task: taskId,
        eventId,
        error,
      },
    );
  }

  givenUpAll(count: number): void {
    this.#log.error(
      `Webhook ${this.#name} got nothing for a day: ${count} events that are ` +
        "older were given up",
      { event: "webhook_given_up", webhook: this.#name, count },
    );
  }

  cannotExchange(error: string): void {
    this.#log.warning(
      `Cannot look for events of webhook ${this.#name} yet: ${error}`,
      { event: "webhook_delayed", webhook: this.#name, error },
    );
  }

  #fields(
    event: string,
    { taskId, eventId, attempt, tries, task }: Delivery,
    { status, error, runMs }: SendResult & { readonly runMs?: number },
  ): LogFields {
    return {
      event,
      webhook: this.#name,
      task: taskId,
      provider: task?.provider,
      attempt,
      eventId,
      tries,
      status,
      runMs: runMs === undefined ? undefined : Math.round(runMs),
      error: error === "" ? undefined : error,
    };
  }
}
