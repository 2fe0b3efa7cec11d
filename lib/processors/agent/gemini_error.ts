/**
 * Why gemini failed: it says so in a message, and its exit code has the lowest eight
 * bits of the status that the API answered.
 *
 * @module
 */

import type { AgentEnded, AgentError } from "./dialect.ts";
import {
  type EndRules,
  errorMeaning,
  LONG_RETRY_MS,
  meaningOfStatus,
} from "./ended.ts";
import { apiErrorIn, bodyOf, messageOf, numberOf, objectOf } from "./fields.ts";

/** How an end without a final line is read. */
export const RULES: EndRules = {
  name: "gemini",
  stderr: [
    [/^Error resuming session: |Session ID .* already exists/, "session lost"],
    [/^Unknown arguments?: /, "permanent"],
  ],
  codes: {
    41: "account", // No key.
    42: "permanent", // Its input.
    52: "permanent", // Its settings.
    53: "permanent", // Its turns are used up.
    55: "permanent", // A folder that is not trusted.
    130: "permanent", // Cancelled.
  },
  noise:
    /^(?:Warning: |YOLO mode |Ripgrep is not|\[STARTUP\]|Loaded cached|at )/,
};

const MAX_STDERR_CHARACTERS = 200_000;
const MAX_WAIT_SECONDS = 31 * 86_400;

/** A run that ended with an error, and when. */
interface Failure extends AgentEnded {
  readonly now: Date;
}

/** What a message means that ended a run. */
export function errorOf(said: string, failure: Failure): AgentError {
  const { code } = failure;
  const inner = apiErrorIn(said) ?? said;
  const message = messageOf(inner);
  if (/\bexhausted your daily quota\b/.test(inner)) {
    return { kind: "limit", message, until: quotaEnd(failure) };
  }
  const status = numberOf(objectOf(bodyOf(inner).error).code) ?? statusOf(code);
  if (status === 429) {
    return { kind: "retryable", message, retryAfterMs: LONG_RETRY_MS };
  }
  // Which the API answers as it does to a request that can't be right.
  if (/\bAPI key (?:not valid|expired)\b/.test(inner)) {
    return errorMeaning("account", message);
  }
  const meaning = RULES.codes?.[code] ??
    (/\bsession turns\b/.test(inner) ? "permanent" : meaningOfStatus(status));
  return errorMeaning(meaning, message);
}

/** As the API said it, which stands on stderr alone; else when a day begins there. */
function quotaEnd({ stderr, now }: Failure): Date {
  const waits = stderr.slice(-MAX_STDERR_CHARACTERS)
    .matchAll(/\bPlease retry in (\d+(?:\.\d+)?)s/g);
  const seconds = Number([...waits].at(-1)?.[1] ?? NaN);
  return seconds > 0 && seconds <= MAX_WAIT_SECONDS
    ? new Date(now.getTime() + seconds * 1_000)
    : nextPacificMidnight(now);
}

/** The status of HTTP that an exit code comes of. */
function statusOf(code: number): number | undefined {
  const statuses = [400, 401, 403, 404, 429, 500, 502, 503, 504, 529];
  return statuses.find((status) => (status & 255) === code);
}

const DAY_MS = 86_400_000;

const CLOCK = new Intl.DateTimeFormat("en", {
  timeZone: "America/Los_Angeles",
  hourCycle: "h23",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

/** The next midnight at the Pacific, when Google's daily quotas begin anew. */
export function nextPacificMidnight(now: Date): Date {
  const near = now.getTime() - timeOfDayMs(now) + DAY_MS;
  // That day may have 23 or 25 hours.
  const past = timeOfDayMs(new Date(near));
  return new Date(near - (past > DAY_MS / 2 ? past - DAY_MS : past));
}

/** What the clocks there show, since midnight. */
function timeOfDayMs(time: Date): number {
  const shown = CLOCK.formatToParts(time);
  const part = (type: string) =>
    Number(shown.find((it) => it.type === type)?.value ?? 0);
  return (part("hour") * 3_600 + part("minute") * 60 + part("second")) *
      1_000 + time.getUTCMilliseconds();
}
