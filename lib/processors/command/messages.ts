/**
 * What a program says to the runner: a line of JSON on its stdout.
 *
 *     {"agent_runner": "progress", "message": "Half way", "fraction": 0.5}
 *     {"agent_runner": "result", "value": {"pr": 12}}
 *     {"agent_runner": "question", "question": "Which branch?"}
 *
 * @module
 */

import type { JsonObject, JsonValue } from "../../task/task.ts";
import { parseTrace } from "../../task/trace.ts";

/** A message of a program. */
export type Message =
  | {
    readonly kind: "progress";
    readonly message: string;
    readonly fraction?: number;
  }
  | { readonly kind: "result"; readonly value: JsonValue }
  | { readonly kind: "question"; readonly question: string };

/** Reads a line; undefined for what is no message. */
export function readMessage(line: string): Message | undefined {
  // Most lines are none: no need to parse those.
  if (!line.includes('"agent_runner"')) return undefined;
  const object = parseTrace(line);
  return object && messageIn(object);
}

function messageIn(object: JsonObject): Message | undefined {
  const { agent_runner: kind, message, fraction, value, question } = object;
  switch (kind) {
    case "progress":
      if (typeof message !== "string") return undefined;
      return typeof fraction === "number"
        ? { kind, message, fraction }
        : { kind, message };
    case "result":
      return value === undefined ? undefined : { kind, value };
    case "question":
      return typeof question === "string" && question.trim() !== ""
        ? { kind, question }
        : undefined;
    default:
      return undefined;
  }
}
