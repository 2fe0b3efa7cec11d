/**
 * A line of JSON with which a program, or an agent, says something to the runner:
 *
 *     {"agent_runner": "progress", "message": "Half way", "fraction": 0.5}
 *     {"agent_runner": "result", "value": {"pr": 12}}
 *     {"agent_runner": "question", "question": "Which branch?"}
 *
 * @module
 */

import { cut } from "../../base/cut.ts";
import type { Log } from "../../base/log.ts";
import type { AgentTask, JsonObject, JsonValue } from "../../task/task.ts";
import { parseObject, stringifyJson } from "../../task/trace.ts";

/** A message that ends a program's work. */
export type LastMessage =
  | { readonly kind: "result"; readonly value: JsonValue }
  | { readonly kind: "question"; readonly question: string };

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
    default:
      return mistake(
        `its kind is ${stringifyJson(kind)}, not "progress", "result" or ` +
          '"question"',
      );
  }
}

function mistake(why: string): Message {
  return { kind: "mistake", why };
}
