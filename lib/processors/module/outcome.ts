/**
 * Checks what a plugin returned. It may be anybody's JavaScript, so it is read
 * once, field by field, and what is sent on is text.
 *
 * @module
 */

import { messageOf } from "../../base/errors.ts";
import { stringifyJson } from "../../task/trace.ts";
import type { JsonObject, JsonValue } from "../../task/task.ts";

/** What a plugin returned is no outcome. The message says why. */
export class OutcomeError extends Error {
  override readonly name = "OutcomeError";
}

const EXPECTED = 'expected an object whose "kind" is "completed", "failed" ' +
  'or "needs_input"';

/**
 * Gives the JSON of an outcome.
 *
 * @throws {OutcomeError} where it is none.
 */
export function outcomeText(outcome: unknown): string {
  try {
    return stringifyJson(readOutcome(outcome));
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

function readOutcome(outcome: unknown): JsonObject {
  if (typeof outcome !== "object" || outcome === null) {
    throw new OutcomeError(
      `The plugin returned ${describe(outcome)}: ${EXPECTED}`,
    );
  }
  const fields = new Fields(outcome);
  const kind = fields.read("kind");
  switch (kind) {
    case "completed":
      return given({
        kind,
        result: resultOf(fields.read("result")),
        message: fields.text("message"),
      });
    case "failed":
      return given({
        kind,
        error: inModuleTerms(fields.requiredText("error")),
        retryable: fields.boolean("retryable") ?? true,
        retryAfterMs: fields.durationMs("retryAfterMs"),
      });
    case "needs_input":
      return given({
        kind,
        question: fields.requiredText("question"),
        answerWithinMs: fields.durationMs("answerWithinMs"),
      });
    default:
      throw new OutcomeError(
        `The plugin returned an object whose "kind" is ${describe(kind)}: ` +
          EXPECTED,
      );
  }
}

function resultOf(result: unknown): JsonValue | undefined {
  const isJson = result === undefined ||
    stringifyJson(result as JsonValue) !== undefined;
  if (isJson) return result as JsonValue | undefined;
  throw new OutcomeError(
    `The plugin returned ${describe(result)} as "result": expected JSON`,
  );
}

function given(fields: Record<string, JsonValue | undefined>): JsonObject {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as JsonObject;
}

/** Reads the fields of an outcome, each of which may be anything. */
class Fields {
  readonly #outcome: object;

  constructor(outcome: object) {
    this.#outcome = outcome;
  }

  read(name: string): unknown {
    return Reflect.get(this.#outcome, name);
  }

  text(name: string): string | undefined {
    return this.#typed(name, "a text", (it) => typeof it === "string");
  }

  requiredText(name: string): string {
    const text = this.text(name);
    if (text) return text;
    const what = text === undefined ? "without" : "with an empty";
    throw new OutcomeError(`The plugin returned an outcome ${what} "${name}"`);
  }

  boolean(name: string): boolean | undefined {
    return this.#typed(
      name,
      "true or false",
      (it) => typeof it === "boolean",
    );
  }

  durationMs(name: string): number | undefined {
    return this.#typed(
      name,
      "milliseconds",
      (it): it is number =>
        typeof it === "number" && it >= 0 && Number.isFinite(it),
    );
  }

  #typed<T>(
    name: string,
    expected: string,
    fits: (value: unknown) => value is T,
  ): T | undefined {
    const value = this.read(name);
    if (value === undefined || fits(value)) return value;
    throw new OutcomeError(
      `The plugin returned ${describe(value)} as "${name}": ` +
        `expected ${expected}`,
    );
  }
}

/** Says what to do where Deno says what it would do on its command line. */
export function inModuleTerms(text: string): string {
  return text.replace(
    /, run again with the --allow-(\w+) flag/,
    '. Add it to "$1" in the module\'s permissions.',
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
