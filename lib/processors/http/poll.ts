/**
 * Follows work that a service has taken and not done yet.
 *
 * @module
 */

import type { Clock } from "../../base/clock.ts";
import type { Outcome } from "../../task/task.ts";
import { type Meaning, meaningOf, retryAfterMs } from "./response.ts";
import type { HttpConfig } from "./config.ts";
import { HttpError } from "./error.ts";
import type { HttpAnswer } from "./request.ts";
import { type HttpSession, nextUrl } from "./session.ts";
import type { Secrets } from "../secrets.ts";

/** Options for {@linkcode followWork}. */
export interface FollowOptions {
  readonly session: HttpSession;
  readonly poll: HttpConfig["poll"];
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onProgress: (message: string, fraction?: number) => void;
}

/**
 * How often in a row a status URL may fail. The work goes on meanwhile, so that
 * one lost answer should not start it again.
 */
const MAX_FAILURES = 5;
/** A service that wants to be asked again at once is asked after this. */
const MIN_WAIT_MS = 100;
/** How much longer each wait is than the one before. */
const GROWTH = 1.5;

/**
 * Asks a service until the task that it took is done.
 *
 * @param answer what it said when it was sent the task
 * @throws {HttpError} where the task is not done, or the signal's reason.
 */
export async function followWork(
  answer: HttpAnswer,
  { session, poll, secrets, clock, signal, onProgress }: FollowOptions,
): Promise<Outcome> {
  const maxIntervalMs = poll.maxInterval * 1_000;
  let intervalMs = poll.interval * 1_000;
  let statusUrl = answer.url;
  let failures = 0;
  let lastNote = "";

  let meaning = meaningOf(answer, { secrets, now: clock.now() });
  let wantedMs = retryAfterMs(answer, clock.now());
  note(meaning, answer);
  while (meaning.kind === "working") {
    await clock.sleep(Math.max(wantedMs ?? intervalMs, MIN_WAIT_MS), signal);
    signal.throwIfAborted();
    if (wantedMs === undefined) {
      intervalMs = Math.min(intervalMs * GROWTH, maxIntervalMs);
    }
    try {
      const next = await session.send({ url: statusUrl, method: "GET" });
      const now = clock.now();
      meaning = meaningOf(next, { secrets, now });
      wantedMs = retryAfterMs(next, now);
      note(meaning, next);
      failures = 0;
    } catch (error) {
      const isLost = error instanceof HttpError && error.retryable;
      if (!isLost || ++failures > MAX_FAILURES) throw error;
      wantedMs = error.retryAfterMs;
    }
  }
  return meaning.outcome;

  function note(meaning: Meaning, answer: HttpAnswer): void {
    if (meaning.kind !== "working") return;
    const { progress, fraction } = meaning;
    if (meaning.statusUrl !== undefined) {
      statusUrl = nextUrl(meaning.statusUrl, answer);
    }
    const message = progress ?? (fraction === undefined ? "" : "Working");
    const noted = `${message} ${fraction}`;
    if (message === "" || noted === lastNote) return;
    lastNote = noted;
    onProgress(message, fraction);
  }
}
