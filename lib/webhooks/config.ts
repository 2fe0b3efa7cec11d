/**
 * What the configuration says of a webhook.
 *
 * @module
 */

import type { DeliveredEvent } from "../store/contract.ts";

export { DELIVERED_EVENTS } from "../store/contract.ts";

/** Where events are sent, and which. */
export interface WebhookSettings {
  /** May hold a secret, in its path or query. */
  readonly url: string;
  /** The environment variable with the secret that signs. */
  readonly secretEnv: string;
  readonly on: readonly DeliveredEvent[];
  /** Only events of tasks of these; undefined: of all. */
  readonly providers?: readonly string[];
  /** How long one request may take. */
  readonly timeoutMs: number;
}
