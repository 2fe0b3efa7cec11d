/**
 * What webhooks need of a store: which events are to be delivered, and what came
 * of it. The history is the outbox; only what is not delivered yet is kept apart.
 *
 * @module
 */

import type { WebhookEvent } from "../webhooks/config.ts";

/** Who gets which events. */
export interface Subscription {
  /** Names the receiver, in the store; the same in every runner. */
  readonly endpoint: string;
  readonly events: readonly WebhookEvent[];
  readonly providers?: readonly string[];
}

/** An event to deliver. Long texts are cut. */
export interface Delivery {
  readonly eventId: number;
  readonly event: WebhookEvent;
  readonly occurredAt: Date;
  readonly attempt: number;
  readonly runner: string | null;
  readonly detail: string | null;
  readonly taskId: string;
  /** Null where the task was deleted meanwhile. */
  readonly task: DeliveredTask | null;
  /** This one included. */
  readonly tries: number;
}

/** What a delivery says of its task, apart from its id. */
export interface DeliveredTask {
  readonly userId: string;
  readonly provider: string;
  readonly targetType: string | null;
  readonly targetRef: string | null;
  readonly instruction: string | null;
  readonly createdAt: Date;
}

/** What came of a delivery. */
export type DeliveryResult =
  & { readonly eventId: number }
  & (
    | { readonly kind: "delivered" }
    /** It was not tried to the end; that costs no try. */
    | { readonly kind: "returned" }
    /** Tried again then, or given up where that is null. */
    | {
      readonly kind: "failed";
      readonly error: string;
      readonly nextAt: Date | null;
    }
    /** The receiver wants no more: everything for it is given up. */
    | { readonly kind: "gone"; readonly error: string }
  );

/** Options for {@linkcode Outbox.exchange}. */
export interface ExchangeOptions {
  /** In the order in which they came about. */
  readonly results: readonly DeliveryResult[];
  /** How many deliveries to lease. */
  readonly limit: number;
  /** For how long nobody else gets what is leased. */
  readonly leaseMs: number;
  readonly now: Date;
  /**
   * Where nothing has succeeded for so long, in so many tries, the events that
   * are as old are given up.
   */
  readonly patience: { readonly ms: number; readonly tries: number };
}

/** What came of an {@linkcode Outbox.exchange}. */
export interface Exchange {
  /** At most one of each task: its oldest. */
  readonly deliveries: readonly Delivery[];
  /** When the next of those that wait is due; null for none. */
  readonly nextAt: Date | null;
  /** Tries that failed since the last that succeeded. */
  readonly failures: number;
  /** Events that were given up because the receiver was away for too long. */
  readonly givenUp: number;
}

/** How a receiver does. */
export interface EndpointStatus {
  readonly endpoint: string;
  /** Events that wait. */
  readonly pending: number;
  readonly givenUp: number;
  readonly lastSuccessAt: Date | null;
  readonly lastErrorAt: Date | null;
  readonly lastError: string | null;
  /** Since when it gets nothing, because it said that it is gone. */
  readonly goneAt: Date | null;
}

/** Keeps what is to be delivered. Every method is one transaction. */
export interface Outbox {
  /**
   * Makes receivers known. A new one, and one that was gone, gets the events from
   * now on.
   */
  register(subscriptions: readonly Subscription[], now: Date): Promise<void>;
  /** Records results, and leases what is due next. */
  exchange(
    subscription: Subscription,
    options: ExchangeOptions,
  ): Promise<Exchange>;
  /** Those that no runner has served yet are left out. */
  status(subscriptions: readonly Subscription[]): Promise<EndpointStatus[]>;
}
