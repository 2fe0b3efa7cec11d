/**
 * Why opencode failed: it hands on the status and the answer of the API.
 *
 * @module
 */

import { retryAfterMs } from "../../base/retry_after.ts";
import type { JsonObject, JsonValue } from "../../task/task.ts";
import type { AgentError } from "./dialect.ts";
import {
  type ErrorMeaning,
  errorMeaning,
  LONG_RETRY_MS,
  meaningOfStatus,
} from "./ended.ts";
import {
  bodyOf,
  messageOf,
  numberOf,
  objectOf,
  textOf,
  timeOf,
} from "./fields.ts";

/** The errors of its own that stay, by their names. */
const PERMANENT = /^(?:ProviderModelNotFound|ContextOverflow)/;
const LIMITS: readonly unknown[] = [
  "usage_limit_reached",
  "insufficient_quota",
];

/** What an error means that ended a run. */
export function errorOf(error: JsonObject, now: Date): AgentError {
  const name = textOf(error.name) ?? "";
  const data = objectOf(error.data);
  const { statusCode, isRetryable, responseHeaders, responseBody } = data;
  const message = messageOf(
    textOf(data.message) ?? textOf(error.message) ?? name,
  );
  const status = numberOf(statusCode);
  const body = objectOf(bodyOf(textOf(responseBody)).error);
  if (LIMITS.includes(body.type) || LIMITS.includes(body.code)) {
    const seconds = numberOf(body.resets_in_seconds) ?? 0;
    const until = timeOf(body.resets_at) ??
      (seconds > 0 ? timeOf(now.getTime() / 1_000 + seconds) : undefined);
    return { kind: "limit", message, until };
  }
  if (status === 429) {
    const header = textOf(objectOf(responseHeaders)["retry-after"]);
    const askedMs = retryAfterMs(header, now) ?? 0;
    return {
      kind: "retryable",
      message,
      retryAfterMs: Math.max(askedMs, LONG_RETRY_MS),
    };
  }
  return errorMeaning(meaningOf(name, { status, isRetryable }), message);
}

function meaningOf(
  name: string,
  { status, isRetryable }: {
    readonly status: number | undefined;
    readonly isRetryable: JsonValue | undefined;
  },
): ErrorMeaning {
  if (name.startsWith("ProviderAuth")) return "account";
  if (PERMANENT.test(name)) return "permanent";
  if (isRetryable === true) return "retryable";
  const meaning = meaningOfStatus(status);
  return isRetryable === false && meaning !== "account" ? "permanent" : meaning;
}
