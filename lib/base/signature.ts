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

/** What signs, and what nobody else may see. */
export interface Signer {
  readonly sign: Sign;
  /** The keys in base64, as they may turn up with `whsec_` or without. */
  readonly keys: readonly string[];
}

/** What is wrong with a variable, to be put after its name. Without its text. */
export class SecretError extends Error {
  override readonly name = "SecretError";
}

/** The shortest key that Standard Webhooks allows, in bytes. */
const MIN_KEY_BYTES = 24;

const PREFIX = "whsec_";

const ADVICE =
  `Set it to ${PREFIX} and ${MIN_KEY_BYTES} bytes or more in base64.`;

/**
 * Takes what a variable holds: a secret that begins with `whsec_`, or several
 * with spaces between them for the time of a change.
 *
 * @throws {SecretError} where the variable is not set, or holds no secret.
 */
export function createSigner(text: string | undefined): Signer {
  const secrets = text?.split(/\s+/).filter((it) => it !== "") ?? [];
  if (secrets.length === 0) throw new SecretError(`is not set. ${ADVICE}`);
  const webhooks = secrets.map(webhookOf);
  return {
    keys: secrets.map((it) => it.slice(PREFIX.length)),
    sign: ({ id, sentAt, body }) => ({
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(sentAt.getTime() / 1_000)),
      "webhook-signature": webhooks.map((it) => it.sign(id, sentAt, body))
        .join(" "),
    }),
  };
}

function webhookOf(secret: string): Webhook {
  const key = /^whsec_([A-Za-z0-9+/]+=*)$/.exec(secret)?.[1] ?? "";
  if (key.length * 3 / 4 < MIN_KEY_BYTES) throw wrongSecret();
  try {
    return new Webhook(secret);
  } catch {
    throw wrongSecret(); // Its message may hold a part of the secret.
  }
}

function wrongSecret(): SecretError {
  return new SecretError(`holds no secret to sign with. ${ADVICE}`);
}
