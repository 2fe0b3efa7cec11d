/**
 * What an answer means for its task. Any success ends it, with the body as
 * result, but for these:
 *
 *     {"agent_runner": "result", "value": {"pr": 12}, "message": "Opened #12"}
 *     {"agent_runner": "question", "question": "Which branch?"}
 *     {"agent_runner": "limit", "until": "2026-12-01T04:33:00Z"}
 *     202 with Location, or with {"status_url": "/tasks/5"}
 *
 * and, from a status URL, 202 or one of these:
 *
 *     {"status": "running", "progress": "Half way", "fraction": 0.5}
 *     {"status": "failed", "error": "No such branch", "retryable": false}
 *
 * @module
 */

import { STATUS_CODES } from "node:http";
import { retryAfterMs } from "../../base/retry_after.ts";
import type { JsonObject, JsonValue, Outcome } from "../../task/task.ts";
import { parseJson } from "../../task/trace.ts";
import type { Secrets } from "../secrets.ts";
import type { RunError } from "../task_runs.ts";
import { limitOutcome, messageIn } from "../command/message.ts";
import { excerptOf, httpError } from "./error.ts";
import type { HttpAnswer } from "./request.ts";

/** What an answer means. */
export type Meaning =
  | { readonly kind: "end"; readonly outcome: Outcome }
  /** The work goes on: ask again. */
  | {
    readonly kind: "working";
    /** Where to ask; undefined where that has not changed. */
    readonly statusUrl: string | undefined;
    readonly progress: string | undefined;
    readonly fraction: number | undefined;
  };

/** Options for {@linkcode meaningOf}. */
export interface MeaningOptions {
  /** Kept out of all that is stored. */
  readonly secrets: Secrets;
  readonly now: Date;
}

/** A value that is nested deeper is kept as text: not all can read it. */
const MAX_DEPTH = 100;

/**
 * Reads an answer.
 *
 * @throws {RunError} where the task is not done, or the answer not whole.
 */
export function meaningOf(
  answer: HttpAnswer,
  { secrets, now }: MeaningOptions,
): Meaning {
  const { status, problem } = answer;
  // Where a task went, its result is; where a GET went, it may be on its way.
  const isPoll = answer.method === "GET";
  if (status < 200 || status > 299) throw failureOf(answer, { secrets, now });
  if (problem) throw problem;
  if (answer.isCut) return cutShort(answer, secrets);
  const said = valueOf(answer.text);
  const fields = fieldsOf(said);
  const mask = (value: JsonValue | undefined) =>
    value === undefined ? undefined : secrets.maskJson(value);
  const { agent_runner: kind, question } = fields;
  if (kind === "question" && textIn(question)) {
    return ended({ kind: "needs_input", question: String(mask(question)) });
  }
  if (kind === "result" && fields.value !== undefined) {
    return completed(mask(fields.value), mask(fields.message));
  }
  if (kind === "limit") {
    const message = messageIn(fields);
    if (message?.kind === "limit") {
      const reason = excerptOf(secrets.mask(message.reason));
      return ended(limitOutcome({ ...message, reason }, now));
    }
  }
  if (isPoll && fields.status === "failed") {
    const error = textIn(mask(fields.error)) ??
      "The service says that it failed";
    const retryable = fields.retryable !== false;
    return ended({ kind: "failed", error: excerptOf(error), retryable });
  }
  const statusUrl = status === 202
    ? answer.header("location") ?? textIn(fields.status_url)
    : undefined;
  const isWorking = status === 202
    ? isPoll || statusUrl !== undefined
    : isPoll && (kind === "progress" ||
      fields.status === "running" || fields.status === "queued");
  if (!isWorking) return completed(mask(said));
  const progress = textIn(mask(fields.progress)) ??
    textIn(mask(fields.message));
  return {
    kind: "working",
    statusUrl,
    progress: progress === undefined ? undefined : excerptOf(progress),
    fraction: numberIn(mask(fields.fraction)),
  };
}

const RETRYABLE: readonly number[] = [408, 425, 429];
/** Too many requests, or unavailable: of the service, not of the task. */
const LIMITS: readonly number[] = [429, 503];
/** Who is to come back later than this need not hold an attempt until then. */
const LIMIT_MS = 5 * 60_000;

function failureOf(
  answer: HttpAnswer,
  { secrets, now }: { secrets: Secrets; now: Date },
): RunError {
  const { url, status, text, header } = answer;
  const reason = excerptOf(secrets.mask(text));
  const name = [status, STATUS_CODES[status]].join(" ").trim();
  const waitMs = retryAfterMs(header("retry-after"), now);
  return httpError(
    `${url.host} answered ${name}${reason === "" ? "." : `: ${reason}`}`,
    {
      retryable: status >= 500 || RETRYABLE.includes(status),
      retryAfterMs: waitMs,
      isLimit: LIMITS.includes(status) && (waitMs ?? 0) > LIMIT_MS,
    },
  );
}

function completed(value: JsonValue | undefined, message?: JsonValue): Meaning {
  const text = textIn(message);
  return ended({
    kind: "completed",
    ...value !== undefined && { result: value },
    ...text !== undefined && { message: excerptOf(text) },
  });
}

/** The work is done, so the task is: with what there is of its result. */
function cutShort({ text }: HttpAnswer, secrets: Secrets): Meaning {
  return completed(
    { truncated: secrets.mask(text) },
    'The answer was cut: it is longer than "maxResponseBytes" allows',
  );
}

function ended(outcome: Outcome): Meaning {
  return { kind: "end", outcome };
}

/** JSON where it is some, text otherwise, undefined where it is empty. */
function valueOf(text: string): JsonValue | undefined {
  if (text.trim() === "") return undefined;
  const value = parseJson(text);
  return value === undefined || isDeeperThan(MAX_DEPTH, value) ? text : value;
}

function isDeeperThan(depth: number, value: JsonValue): boolean {
  if (typeof value !== "object" || value === null) return false;
  return depth === 0 ||
    Object.values(value).some((it) => isDeeperThan(depth - 1, it));
}

function fieldsOf(value: JsonValue | undefined): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value
    : {};
}

function textIn(value: JsonValue | undefined): string | undefined {
  return typeof value === "string" && value.trim() !== "" ? value : undefined;
}

function numberIn(value: JsonValue | undefined): number | undefined {
  return typeof value === "number" ? value : undefined;
}
