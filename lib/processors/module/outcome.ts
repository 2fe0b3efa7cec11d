/**
 * Checks what a plugin returned. It may be anybody's JavaScript, so it is read
 * once, field by field, and what is sent on is text.
 *
 * @module
 */

import { messageOf } from "../../base/errors.ts";
import { stringifyJson } from "../../task/trace.ts";
import type { JsonObject, JsonValue } from "../../task/task.ts";

/** The longest outcome, in characters of its JSON. */
export const MAX_OUTCOME_CHARACTERS = 16 * 1024 * 1024;

/** What a plugin returned is no outcome. The message says why. */
export class OutcomeError extends Error {
  override readonly name = "OutcomeError";
}

const EXPECTED = 'expected an object whose "kind" is "completed", "failed", ' +
  '"needs_input" or "limited"';

/**
 * Gives the JSON of an outcome.
 *
 * @throws {OutcomeError} where it is none.
 */
export function outcomeText(outcome: unknown): string {
  try {
    const text = stringifyJson(readOutcome(outcome));
    checkLength(text.length);
    return text;
  } catch (error) {
    if (error instanceof OutcomeError) throw error;
    // JSON that is cyclic, a getter or a proxy that throws.
    const [reason] = messageOf(error).split("\n");
    throw new OutcomeError(
      `The plugin returned an outcome that can't be read: ${reason}`,
      { cause: error },
    );
  }
}

function checkLength(length: number): void {
  if (length <= MAX_OUTCOME_CHARACTERS) return;
  throw new OutcomeError(
    `The plugin returned an outcome of ${length.toLocaleString("en")} ` +
      "characters, more than " + MAX_OUTCOME_CHARACTERS.toLocaleString("en"),
  );
}

/** Gives what is kept of a field, or throws. */
type Check = (value: unknown, name: string) => JsonValue | undefined;

const durationMs = optional(
  "milliseconds",
  (it): it is number =>
    typeof it === "number" && it >= 0 && Number.isFinite(it),
);
const text = optional("a text", (it) => typeof it === "string");
const flag = optional("true or false", (it) => typeof it === "boolean");

/** The fields of each kind of outcome, in the order in which they are read. */
const FIELDS = new Map<unknown, Readonly<Record<string, Check>>>([
  ["completed", { result: json, message: text, warning: text }],
  ["failed", {
    error: (value, name) => inModuleTerms(requiredText(value, name)),
    retryable: (value, name) => flag(value, name) ?? true,
    retryAfterMs: durationMs,
    pausesProvider: flag,
  }],
  ["needs_input", { question: requiredText, answerWithinMs: durationMs }],
  ["limited", { reason: requiredText, waitMs: durationMs }],
]);

function readOutcome(outcome: unknown): JsonObject {
  if (typeof outcome !== "object" || outcome === null) {
    throw new OutcomeError(
      `The plugin returned ${describe(outcome)}: ${EXPECTED}`,
    );
  }
  const kind = Reflect.get(outcome, "kind");
  const fields = FIELDS.get(kind);
  if (!fields) {
    throw new OutcomeError(
      `The plugin returned an object whose "kind" is ${describe(kind)}: ` +
        EXPECTED,
    );
  }
  const read: Record<string, JsonValue> = { kind };
  for (const [name, check] of Object.entries({ ...fields, usage: json })) {
    const given = Reflect.get(outcome, name);
    // Its JSON may be more than there is memory for.
    if (typeof given === "string") checkLength(given.length);
    const value = check(given, name);
    if (value !== undefined) read[name] = value;
  }
  return read;
}

function optional<T extends JsonValue>(
  expected: string,
  fits: (value: unknown) => value is T,
) {
  return (value: unknown, name: string): T | undefined => {
    if (value === undefined || fits(value)) return value;
    throw wrongField(value, { name, expected });
  };
}

function requiredText(value: unknown, name: string): string {
  const given = text(value, name);
  if (given) return given;
  const what = given === undefined ? "without" : "with an empty";
  throw new OutcomeError(`The plugin returned an outcome ${what} "${name}"`);
}

function json(value: unknown, name: string): JsonValue | undefined {
  const isJson = value === undefined ||
    stringifyJson(value as JsonValue) !== undefined;
  if (isJson) return value as JsonValue | undefined;
  throw wrongField(value, { name, expected: "JSON" });
}

function wrongField(
  value: unknown,
  { name, expected }: { readonly name: string; readonly expected: string },
): OutcomeError {
  return new OutcomeError(
    `The plugin returned ${describe(value)} as "${name}": expected ${expected}`,
  );
}

/** Says what to do where Deno says what it would do on its command line. */
export function inModuleTerms(text: string): string {
  return text.replace(
    /(?:NotCapable: )?(Requires .*), run again with the --allow-(\w+) flag/,
    '$1. Add it to "$2" in the module\'s permissions.',
  );
}

/** What a value is, in words. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case "undefined":
      return "nothing";
    case "function":
      return "a function";
    case "symbol":
      return "a symbol";
    case "object":
      if (value === null) return "null";
      return Array.isArray(value) ? "a list" : "an object";
    case "string":
      return `the text ${JSON.stringify(value.slice(0, 50))}`;
    default:
      return `the ${typeof value} ${value}`;
  }
}
