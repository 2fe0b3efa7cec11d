/**
 * Signs what is sent, so that the receiver knows whom it is from: Standard
 * Webhooks, https://www.standardwebhooks.com.
 *
 * @module
 */

import { Webhook } from "standardwebhooks";

/** What is signed. */
export interface SignedMessage {
  /** The same for a message that is sent twice. */
  readonly id: string;
  readonly sentAt: Date;
  readonly body: string;
}

/** Makes the headers of a message. */
export type Sign = (message: SignedMessage) => Readonly<Record<string, string>>;

/**
 * Takes a secret as Standard Webhooks writes it: base64, with or without
 * `whsec_` before it.
 *
 * @throws {Error} where it is no such secret.
 */
export function createSigner(secret: string): Sign {
  const webhook = new Webhook(secret);
  return ({ id, sentAt, body }) => ({
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(sentAt.getTime() / 1_000)),
    "webhook-signature": webhook.sign(id, sentAt, body),
  });
}
