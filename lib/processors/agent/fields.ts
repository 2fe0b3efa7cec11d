/**
 * Reads values of JSON that anybody may have written: what is not of the kind that
 * is looked for reads as nothing, and nothing throws.
 *
 * @module
 */

import { stripAnsiCode } from "@std/fmt/colors";
import { headOf } from "../../base/cut.ts";
import type { JsonObject, JsonValue } from "../../task/task.ts";
import { parseObject } from "../../task/trace.ts";

type Value = JsonValue | undefined;

/** The longest message, in characters. */
const MAX_MESSAGE_CHARACTERS = 500;
/** The longest target of a tool, in characters. */
const MAX_TARGET_CHARACTERS = 200;
/** No message needs more to be read of it. */
const MAX_READ_CHARACTERS = 20_000;
/** No limit ends after the year 2099. */
const MAX_EPOCH_SECONDS = 4_102_444_800;

/** An object; an empty one for anything else. */
export function objectOf(value: Value): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value
    : {};
}

/** A list; an empty one for anything else. */
export function listOf(value: Value): readonly JsonValue[] {
  return Array.isArray(value) ? value : [];
}

/** A text that says something; undefined for anything else. */
export function textOf(value: Value): string | undefined {
  return typeof value === "string" && value.trim() !== "" ? value : undefined;
}

/** A number; undefined for anything else. */
export function numberOf(value: Value): number | undefined {
  return typeof value === "number" && Number.isFinite(value)
    ? value
    : undefined;
}

/** The sum of what is a number; undefined where nothing is. */
export function sumOf(...values: readonly Value[]): number | undefined {
  const numbers = values.map(numberOf).filter((it) => it !== undefined);
  return numbers.length === 0
    ? undefined
    : numbers.reduce((sum, number) => sum + number, 0);
}

/** A time in seconds since 1970; undefined for anything else. */
export function timeOf(value: Value): Date | undefined {
  const seconds = numberOf(value) ?? 0;
  return seconds > 0 && seconds < MAX_EPOCH_SECONDS
    ? new Date(seconds * 1_000)
    : undefined;
}

/** A text in one line, without colours, cut to a length that people read. */
export function oneLine(text: string, max = MAX_MESSAGE_CHARACTERS): string {
  const line = stripAnsiCode(text.slice(0, MAX_READ_CHARACTERS))
    .toWellFormed().replace(/\s+/g, " ").trim();
  return line.length > max ? `${headOf(line, max)}…` : line;
}

/** What an error says, in one line: of a body in JSON, the message in it. */
export function messageOf(text: string | undefined): string {
  return oneLine(messageInJson(bodyOf(text)) ?? text ?? "") ||
    "It ended with an error";
}

/** What stands in `[API Error: …]`, with which a text begins; undefined without. */
export function apiErrorIn(text: string): string | undefined {
  if (!text.startsWith(API_ERROR)) return undefined;
  const head = text.slice(API_ERROR.length, MAX_READ_CHARACTERS);
  return head.replace(/\](?:\n[^]*)?$/, "");
}

const API_ERROR = "[API Error: ";

/** An answer of an API as it stands in a message; empty where it is none. */
export function bodyOf(text: string | undefined): JsonObject {
  return text?.trimStart().startsWith("{") && text.length <= MAX_READ_CHARACTERS
    ? parseObject(text) ?? {}
    : {};
}

function messageInJson(body: JsonObject): string | undefined {
  const { error, message, detail } = body;
  return textOf(objectOf(error).message) ?? textOf(message) ??
    textOf(detail) ?? textOf(error);
}

/** What tools of all agents call that on which they work, the best first. */
const TARGET_KEYS = [
  "file_path",
  "filePath",
  "absolute_path",
  "notebook_path",
  "path",
  "command",
  "pattern",
  "query",
  "url",
  "question",
  "description",
  "prompt",
] as const;

/** On what a tool works, in one line; undefined where its input doesn't say. */
export function targetOf(input: Value): string | undefined {
  const object = objectOf(input);
  const key = TARGET_KEYS.find((key) => textOf(object[key]));
  const target = key && textOf(object[key]);
  return target && oneLine(target, MAX_TARGET_CHARACTERS);
}

/** `Write notes.md` */
export function callOf(name: Value, input: Value): string {
  const target = targetOf(input);
  const tool = nameOf(name);
  return target ? `${tool} ${target}` : tool;
}

/** A tool's name in one line. */
export function nameOf(name: Value): string {
  return oneLine(textOf(name) ?? "a tool", MAX_TARGET_CHARACTERS);
}
