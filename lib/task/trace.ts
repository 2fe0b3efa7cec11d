/**
 * A task's trace: a JSON object kept as text. It is shared with other writers,
 * so a merge works on the text and leaves every key that is not its own exactly
 * as it stands: order, escapes, integers beyond 2^53, `NaN` and all.
 *
 * @module
 */

import type { Answer, JsonObject, JsonValue } from "./task.ts";

/** How often lists and objects may be nested: indented, they grow with each. */
export const MAX_JSON_DEPTH = 100;

/** Where a text that is no trace is kept, so that it is not lost. */
export const UNREADABLE_KEY = "unreadable_trace";

/**
 * Sets keys in the text of a trace. Keys that are already there keep their
 * place. A text that is no JSON object reads as no trace, and is kept whole
 * under `unreadable_trace`.
 */
export function mergeTrace(text: string | null, patch: JsonObject): string {
  if (text === null || text.trim() === "") return stringifyJson(patch);
  const trace = parseTrace(text);
  if (!trace) return stringifyJson({ [UNREADABLE_KEY]: text, ...patch });
  const entries = Object.entries(patch);
  const added = entries.filter(([key]) => !Object.hasOwn(trace, key));
  const body = added.length === entries.length
    ? text
    : replaceMembers(text, patch);
  if (added.length === 0) return body;
  const end = body.lastIndexOf("}");
  const separator = Object.keys(trace).length > 0 ? ", " : "";
  const members = stringifyJson(Object.fromEntries(added)).slice(1);
  return body.slice(0, end).trimEnd() + separator + members;
}

/**
 * Reads a trace.
 *
 * @returns undefined where the text is no JSON object, or one that is nested more
 * than a result in it may be.
 */
export function parseTrace(text: string | null): JsonObject | undefined {
  const trace = text === null ? undefined : parseObject(text);
  return trace && isTooDeep(trace, MAX_JSON_DEPTH + 1) ? undefined : trace;
}

/** Says whether lists and objects in a value are nested more often. */
export function isTooDeep(value: unknown, depth = MAX_JSON_DEPTH): boolean {
  return typeof value === "object" && value !== null &&
    (depth === 0 ||
      Object.values(value).some((it) => isTooDeep(it, depth - 1)));
}

/**
 * Reads a JSON object. Takes what Python's `json.dumps` writes: `NaN` becomes null,
 * an integer beyond 2^53 a bigint.
 *
 * @returns undefined where the text is none.
 */
export function parseObject(text: string): JsonObject | undefined {
  const value = parseJson(text) ?? parseJson(withoutBareNumbers(text));
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value
    : undefined;
}

/** What people answered so far, oldest first. Leaves out what is no answer. */
export function answersOf({ answers }: JsonObject): readonly Answer[] {
  return Array.isArray(answers) ? answers.filter(isAnswer) : [];
}

function isAnswer(value: JsonValue): value is Answer {
  return typeof value === "object" && value !== null && "answer" in value &&
    typeof value.answer === "string";
}

/** Reads JSON; an integer beyond 2^53 is a bigint. Undefined for what is none. */
export function parseJson(text: string): JsonValue | undefined {
  try {
    return HAS_LONG_NUMBER.test(text)
      ? JSON.parse(text, reviveLongInteger)
      : JSON.parse(text);
  } catch {
    return undefined; // Not JSON; the caller says what that means.
  }
}

/** 16 digits in a row: only then can a number be beyond 2^53. */
const HAS_LONG_NUMBER = /\d{16}/;

function reviveLongInteger(
  _key: string,
  value: unknown,
  context?: { source?: string },
): unknown {
  const source = context?.source;
  return typeof value === "number" && !Number.isSafeInteger(value) &&
      source !== undefined && /^-?\d+$/.test(source)
    ? BigInt(source)
    : value;
}

/**
 * The text of a JSON value; a bigint is written as the integer it is, and half a
 * character, which no store and no other language reads, as U+FFFD.
 */
export function stringifyJson(value: JsonValue, indent?: number): string {
  const text = textOf(value, indent);
  return text?.includes(HALF_BEGINS)
    ? text.replace(HALF_OR_BACKSLASH, (it) => it === "\\\\" ? it : "\ufffd")
    : text;
}

function textOf(value: JsonValue, indent?: number): string {
  try {
    return JSON.stringify(value, undefined, indent);
  } catch {
    // A bigint; the function that writes it makes everything three times slower.
    return JSON.stringify(value, writeBigInt, indent);
  }
}

/** So the language writes half a character; whole ones stand as they are. */
const HALF_BEGINS = "\\ud";
const HALF_OR_BACKSLASH = /\\\\|\\ud[89a-f][0-9a-f]{2}/g;

/** In the language since ES2026, not yet in TypeScript's library. */
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

function writeBigInt(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? rawJSON(String(value)) : value;
}

/** Numbers that Python writes and JSON does not know. */
const BARE_NUMBER = /-?\bInfinity\b|\bNaN\b/g;

function withoutBareNumbers(text: string): string {
  let result = "";
  let at = 0;
  while (at < text.length) {
    // Not one regular expression over strings and numbers: on a long string
    // that overflows the stack.
    const quote = text.indexOf('"', at);
    const outside = quote < 0 ? text.length : quote;
    result += text.slice(at, outside).replace(
      BARE_NUMBER,
      (token) => token === "NaN" ? "null" : token.replace("Infinity", "1e999"),
    );
    at = quote < 0 ? text.length : stringEnd(text, quote);
    result += text.slice(outside, at);
  }
  return result;
}

/** Replaces the values of the members that `patch` names, in a valid object. */
function replaceMembers(text: string, patch: JsonObject): string {
  let result = "";
  let copied = 0;
  for (const { key, start, end } of membersOf(text)) {
    const value = Object.hasOwn(patch, key) ? patch[key] : undefined;
    if (value === undefined) continue;
    result += text.slice(copied, start) + stringifyJson(value);
    copied = end;
  }
  return result + text.slice(copied);
}

/** The members of a valid JSON object, with where each value stands. */
function* membersOf(
  text: string,
): Generator<{ key: string; start: number; end: number }> {
  let at = text.indexOf("{") + 1;
  while (true) {
    const keyStart = text.indexOf('"', at);
    if (keyStart < 0) return;
    const keyEnd = stringEnd(text, keyStart);
    const start = skipBlanks(text, text.indexOf(":", keyEnd) + 1);
    const end = valueEnd(text, start);
    yield { key: JSON.parse(text.slice(keyStart, keyEnd)), start, end };
    at = text.indexOf(",", end);
    if (at < 0) return;
  }
}

function skipBlanks(text: string, at: number): number {
  while (" \t\r\n".includes(text.charAt(at))) at++;
  return at;
}

/** The place after the string that starts at `at`. */
function stringEnd(text: string, at: number): number {
  for (let i = at + 1; i < text.length; i++) {
    const char = text[i];
    if (char === "\\") i++;
    else if (char === '"') return i + 1;
  }
  return text.length;
}

/** The place after the value that starts at `at`. */
function valueEnd(text: string, at: number): number {
  let depth = 0;
  for (let i = at;; i++) {
    const char = text[i];
    if (char === '"') {
      i = stringEnd(text, i) - 1;
      if (depth === 0) return i + 1;
    } else if (char === "{" || char === "[") depth++;
    else if (char === "}" || char === "]") {
      if (depth === 0) return text.slice(0, i).trimEnd().length;
      if (--depth === 0) return i + 1;
    } else if (char === "," && depth === 0) {
      return text.slice(0, i).trimEnd().length;
    }
  }
}
