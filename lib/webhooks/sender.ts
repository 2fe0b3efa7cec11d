/**
 * Sending one message, signed as Standard Webhooks has it.
 *
 * @module
 */

import { Webhook } from "standardwebhooks";
import { messageOf as messageOfError, UsageError } from "../errors.ts";
import type { WebhookSettings } from "../webhook_settings.ts";
import type { WebhookMessage } from "./message.ts";

/** What came of sending. */
export interface SendResult {
  readonly isDelivered: boolean;
  /** The receiver wants nothing more: 410. */
  readonly isGone: boolean;
  /** What went wrong, for people. Without the URL, which may hold a secret. */
  readonly error: string;
  /** What the receiver answered; undefined where it did not. */
  readonly status: number | undefined;
  /** The receiver asked for so much time. */
  readonly retryAfterMs: number;
}

/** Sends a message; never rejects. The signal ends it. */
export type Send = (
  message: WebhookMessage,
  options: { readonly now: Date; readonly signal?: AbortSignal },
) => Promise<SendResult>;

/** The shortest key that Standard Webhooks allows, in bytes. */
const MIN_KEY_BYTES = 24;

/**
 * Makes what sends to one receiver.
 *
 * @throws {UsageError} where the secret is missing or no secret. Says nothing of
 * its text.
 */
export function createSender(
  { url, secretEnv, timeoutMs }: WebhookSettings,
  env: (name: string) => string | undefined,
): Send {
  const signers = signersOf(secretEnv, env(secretEnv));
  return async ({ id, body }, { now, signal }) => {
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const response = await fetch(url, {
        method: "POST",
        body,
        redirect: "manual",
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
        headers: {
          "content-type": "application/json",
          "user-agent": "agent-runner",
          "webhook-id": id,
          "webhook-timestamp": String(Math.floor(now.getTime() / 1_000)),
          "webhook-signature": signers.map((it) => it.sign(id, now, body))
            .join(" "),
        },
      });
      await response.body?.cancel();
      return resultOf(response);
    } catch (error) {
      return {
        isDelivered: false,
        isGone: false,
        error: timeout.aborted
          ? `no answer within ${timeoutMs / 1_000} s`
          : reasonOf(error),
        status: undefined,
        retryAfterMs: 0,
      };
    }
  };
}

function resultOf({ ok, status, headers }: Response): SendResult {
  const seconds = Number(headers.get("retry-after"));
  const isRedirect = status >= 300 && status < 400;
  return {
    isDelivered: ok,
    isGone: status === 410,
    error: ok
      ? ""
      : `HTTP ${status}${isRedirect ? ": redirects are not followed" : ""}`,
    status,
    retryAfterMs: seconds > 0 ? seconds * 1_000 : 0,
  };
}

/** Deno's messages begin with the URL. */
function reasonOf(error: unknown): string {
  return messageOfError(error).replace(/^.*?for url \(.*?\): /, "");
}

/** Several secrets, separated by spaces, are for the time of a change. */
function signersOf(name: string, text: string | undefined): Webhook[] {
  const secrets = text?.split(/\s+/).filter((it) => it !== "") ?? [];
  if (secrets.length === 0) {
    throw new UsageError(
      `Cannot sign webhooks: ${name} is not set. Set it to a secret like ` +
        "whsec_… that the receiver knows too.",
    );
  }
  return secrets.map((secret) => {
    const key = /^whsec_([A-Za-z0-9+/]+=*)$/.exec(secret)?.[1] ?? "";
    if (key.length * 3 / 4 < MIN_KEY_BYTES) throw wrongSecret(name);
    try {
      return new Webhook(secret);
    } catch {
      throw wrongSecret(name); // Its message may hold a part of the secret.
    }
  });
}

function wrongSecret(name: string): UsageError {
  return new UsageError(
    `Cannot sign webhooks: ${name} holds no secret. Set it to whsec_ and ` +
      `${MIN_KEY_BYTES} bytes or more in base64.`,
  );
}
