/**
 * What an agent says to the runner in its final text: a message as programs print
 * it, on a line of its own, or on some within a fence.
 *
 * @module
 */

import { parseObject } from "../../task/trace.ts";
import {
  type LastMessage,
  messageIn,
  type Mistake,
} from "../command/message.ts";

const KEY = '"agent_runner"';
/** Nobody writes more: the rest is about messages, and is none. */
const MAX_MESSAGES = 20;
/** The most lines of a message before its key. */
const MAX_LINES = 100;
/** A question or a result is not longer, in characters. */
const MAX_MESSAGE_CHARACTERS = 2 * 1024 * 1024;

/**
 * The beginning of a message's first line: before the message may stand a list's
 * sign, a quote's, or that of code.
 */
const BEGINS = /^[ \t>`*+-]*\{/;
/** What may stand behind a message on its last line. */
const AFTER = /^[ \t`\r]*$/;

/**
 * The last result or question in a final text; where there is none, what was meant
 * as one.
 */
export function lastMessageIn(text: string): LastMessage | Mistake | undefined {
  let mistake: Mistake | undefined;
  let at = text.lastIndexOf(KEY);
  for (let count = 0; at >= 0 && count < MAX_MESSAGES; count++) {
    const message = messageAt(text, at);
    if (message?.kind === "mistake") mistake ??= message;
    else if (message && message.kind !== "progress") return message;
    at = at === 0 ? -1 : text.lastIndexOf(KEY, at - 1);
  }
  return mistake;
}

/** The message whose key is there; undefined where it is none of its own. */
function messageAt(text: string, at: number) {
  let lineEnd = at;
  for (let count = 0; count < MAX_LINES; count++) {
    const lineStart = text.lastIndexOf("\n", lineEnd - 1) + 1;
    const begins = BEGINS.exec(text.slice(lineStart, lineEnd));
    if (begins) {
      const start = lineStart + begins[0].length - 1;
      const end = objectEnd(text, start);
      if (end === undefined) return undefined;
      if (end > at) return messageBetween(text, start, end);
    }
    if (lineStart === 0) return undefined;
    lineEnd = lineStart - 1;
  }
  return undefined;
}

function messageBetween(text: string, start: number, end: number) {
  if (!AFTER.test(restOfLine(text, end))) return undefined;
  const object = parseObject(text.slice(start, end));
  return object && messageIn(object);
}

function restOfLine(text: string, start: number): string {
  const end = text.indexOf("\n", start);
  return text.slice(start, end < 0 ? text.length : end);
}

/** The place after the object that starts there; undefined where it has no end. */
function objectEnd(text: string, start: number): number | undefined {
  const stop = Math.min(text.length, start + MAX_MESSAGE_CHARACTERS);
  let depth = 0;
  let isInText = false;
  for (let i = start; i < stop; i++) {
    const char = text[i];
    if (isInText) {
      if (char === "\\") i++;
      else if (char === '"') isInText = false;
    } else if (char === '"') isInText = true;
    else if (char === "{") depth++;
    else if (char === "}" && --depth === 0) return i + 1;
  }
  return undefined;
}
