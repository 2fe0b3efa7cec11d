/**
 * Sending one message, signed as Standard Webhooks has it.
 *
 * @module
 */

import { messageOf as messageOfError, UsageError } from "../base/errors.ts";
import { retryAfterMs } from "../base/retry_after.ts";
import { createSigner, SecretError, type Sign } from "../base/signature.ts";
import type { WebhookSettings } from "./config.ts";
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
  /** The receiver asked for so much time; 0 where it did not. */
  readonly retryAfterMs: number;
}

/** Sends a message; never rejects. The signal ends it. */
export type Send = (
  message: WebhookMessage,
  options: { readonly now: Date; readonly signal?: AbortSignal },
) => Promise<SendResult>;

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
  const sign = signOf(secretEnv, env(secretEnv));
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
          ...sign({ id, sentAt: now, body }),
        },
      });
      await response.body?.cancel();
      return resultOf(response, now);
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

function resultOf({ ok, status, headers }: Response, now: Date): SendResult {
  const isRedirect = status >= 300 && status < 400;
  return {
    isDelivered: ok,
    isGone: status === 410,
    error: ok
      ? ""
      : `HTTP ${status}${isRedirect ? ": redirects are not followed" : ""}`,
    status,
    retryAfterMs: retryAfterMs(headers.get("retry-after"), now) ?? 0,
  };
}

/** Deno's messages begin with the URL. */
function reasonOf(error: unknown): string {
  return messageOfError(error).replace(/^.*?for url \(.*?\): /, "");
}

function signOf(name: string, text: string | undefined): Sign {
  try {
    return createSigner(text).sign;
  } catch (error) {
    if (!(error instanceof SecretError)) throw error;
    throw new UsageError(`Cannot sign webhooks: ${name} ${error.message}`);
  }
}
