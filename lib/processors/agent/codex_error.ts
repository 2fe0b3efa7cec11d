/**
 * Why codex failed, which it says only in prose: so too when a limit ends, as
 * `4:34 AM` or `Nov 30th, 2026 4:34 AM` in the machine's zone.
 *
 * @module
 */

import type { AgentError } from "./dialect.ts";
import { errorMeaning, LONG_RETRY_MS, meaningOfStatus } from "./ended.ts";
import { bodyOf, messageOf } from "./fields.ts";

/** What a message means that ended a run. */
export function errorOf(said: string, now: Date): AgentError {
  const message = messageOf(said);
  if (/^You[’']ve hit your usage limit/.test(said)) {
    return { kind: "limit", message, until: nextTimeIn(message, now) };
  }
  const status = Number(
    /^(?:unexpected status|exceeded retry limit, last status:) (\d{3})\b/
      .exec(said)?.[1] ?? NaN,
  );
  if (status === 429) {
    return { kind: "retryable", message, retryAfterMs: LONG_RETRY_MS };
  }
  if (/^Quota exceeded\b|^Missing environment variable\b/.test(said)) {
    return errorMeaning("account", message);
  }
  // It hands on what the API answered to a request that can't be right.
  const isPermanent = Object.keys(bodyOf(said)).length > 0;
  return errorMeaning(
    isPermanent ? "permanent" : meaningOfStatus(status),
    message,
  );
}

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const DAY = String.raw`([A-Z][a-z]{2})\s+(\d{1,2})(?:st|nd|rd|th),\s+(\d{4})`;
const TRY_AGAIN = new RegExp(
  String.raw`\btry again at (?:${DAY}\s+)?(\d{1,2}):(\d\d)\s+([AP])M\b`,
);

/**
 * The time in a message. Without a day, the next such time of day; within its very
 * minute, the end of that, for seconds are not told.
 *
 * @returns undefined where there is none
 */
export function nextTimeIn(message: string, now: Date): Date | undefined {
  const found = TRY_AGAIN.exec(message);
  if (!found) return undefined;
  const [, month = "", day, year, hour, minute, half] = found;
  const hours = Number(hour) % 12 + (half === "P" ? 12 : 0);
  if (year !== undefined) {
    const index = MONTHS.indexOf(month);
    return index < 0
      ? undefined
      : new Date(Number(year), index, Number(day), hours, Number(minute));
  }
  const today = [now.getFullYear(), now.getMonth(), now.getDate()] as const;
  const time = new Date(...today, hours, Number(minute));
  if (time > now) return time;
  const minuteEnd = new Date(time.getTime() + 60_000);
  if (minuteEnd > now) return minuteEnd;
  // Not a day of 24 hours more: that one may have 23 or 25.
  return new Date(today[0], today[1], today[2] + 1, hours, Number(minute));
}
