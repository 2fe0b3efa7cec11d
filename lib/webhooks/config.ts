/**
 * What the configuration says of a webhook.
 *
 * @module
 */

/** The kinds of event that a webhook can be sent for. */
export const WEBHOOK_EVENTS = [
  "completed",
  "failed",
  "needs_input",
  "retry_scheduled",
  "cancelled",
] as const;

/** One of {@linkcode WEBHOOK_EVENTS}. */
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number];

/** Where events are sent, and which. */
export interface WebhookSettings {
  /** May hold a secret, in its path or query. */
  readonly url: string;
  /** The environment variable with the secret that signs. */
  readonly secretEnv: string;
  readonly on: readonly WebhookEvent[];
  /** Only events of tasks of these; undefined: of all. */
  readonly providers?: readonly string[];
  /** How long one request may take. */
  readonly timeoutMs: number;
}
