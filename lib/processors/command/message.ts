/**
 * A line of JSON with which a program, or an agent, says something to the runner:
 *
 *     {"agent_runner": "progress", "message": "Half way", "fraction": 0.5}
 *     {"agent_runner": "result", "value": {"pr": 12}}
 *     {"agent_runner": "question", "question": "Which branch?"}
 *     {"agent_runner": "limit", "until": "2026-12-01T04:33:00Z"}
 *
 * @module
 */

import { cut } from "../../base/cut.ts";
import type { Log } from "../../base/log.ts";
import type {
  AgentTask,
  JsonObject,
  JsonValue,
  Outcome,
} from "../../task/task.ts";
import { parseObject, stringifyJson } from "../../task/trace.ts";

/** A message that ends a program's work. */
export type LastMessage =
  | { readonly kind: "result"; readonly value: JsonValue }
  | { readonly kind: "question"; readonly question: string }
  /** The account's limit is reached; undefined: nobody knows until when. */
  | {
    readonly kind: "limit";
    readonly reason: string;
    readonly until: Date | undefined;
  };

/** It was meant as a message, and is none. */
export interface Mistake {
  readonly kind: "mistake";
  readonly why: string;
}

/** What such a line says. */
export type Message =
  | LastMessage
  | {
    readonly kind: "progress";
    readonly message: string;
    readonly fraction?: number;
  }
  | Mistake;

const MAX_MISTAKE_CHARACTERS = 200;

/** Tells who looks at the log of a line that was meant as a message. */
export function warnOfMistake(
  why: string,
  { log, task }: {
    readonly log: Log;
    readonly task: Pick<AgentTask, "id" | "provider">;
  },
): void {
  log.warning(
    `Task ${task.id}: a line with "agent_runner" is no message, and kept as ` +
      `text: ${cut(why, MAX_MISTAKE_CHARACTERS)}`,
    { event: "hint", task: task.id, provider: task.provider },
  );
}

/** A line of JSON, or one of many that make an object. */
const MEANT_AS_MESSAGE = /^\s*(\{.*)?"agent_runner"\s*:/;

/** What is wrong with a line that was meant as one; undefined for nothing. */
export function mistakeIn(line: string): Message | undefined {
  if (MEANT_AS_MESSAGE.test(line)) {
    return mistake("it is no JSON object on a line of its own");
  }
  const start = line.search(/\{\s*"agent_runner"/);
  const object = start > 0 ? parseObject(line.slice(start)) : undefined;
  const isMessage = object && messageIn(object)?.kind !== "mistake";
  return isMessage ? mistake("other text is before it on its line") : undefined;
}

/** What an object says; undefined where it was not meant as a message. */
export function messageIn(object: JsonObject): Message | undefined {
  const { agent_runner: kind, message, fraction, value, question } = object;
  const { until, reason } = object;
  switch (kind) {
    case undefined:
      return undefined;
    case "progress":
      if (typeof message !== "string") return mistake('it has no "message"');
      return typeof fraction === "number"
        ? { kind, message, fraction }
        : { kind, message };
    case "result":
      return value === undefined
        ? mistake('it has no "value"')
        : { kind, value };
    case "question":
      return typeof question === "string" && question.trim() !== ""
        ? { kind, question }
        : mistake('it has no "question"');
    case "limit": {
      const end = timeOf(until);
      if (until !== undefined && !end) {
        return mistake(
          'its "until" is no time: expected seconds since 1970 or ISO 8601',
        );
      }
      const why = typeof reason === "string" && reason.trim() !== ""
        ? reason
        : "its limit is reached";
      return { kind, reason: why, until: end };
    }
    default:
      return mistake(
        `its kind is ${stringifyJson(kind)}, not "progress", "result", ` +
          '"question" or "limit"',
      );
  }
}

/** In the year 2096: what is more was meant in milliseconds. */
const LAST_SECOND = 4_000_000_000;

function timeOf(value: JsonValue | undefined): Date | undefined {
  const ms = typeof value === "number"
    ? value <= LAST_SECOND ? value * 1_000 : NaN
    : typeof value === "string"
    ? Date.parse(value)
    : NaN;
  const time = new Date(ms);
  return Number.isNaN(time.getTime()) ? undefined : time;
}

/** What a run that met a limit comes to. */
export function limitOutcome(
  { reason, until }: Extract<LastMessage, { kind: "limit" }>,
  now: Date,
): Outcome {
  // What is over already: it may be tried at once.
  const waitMs = until && Math.max(1, until.getTime() - now.getTime());
  return { kind: "limited", reason, ...waitMs !== undefined && { waitMs } };
}

function mistake(why: string): Message {
  return { kind: "mistake", why };
}
