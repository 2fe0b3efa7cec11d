/**
 * Says what the schema finds wrong in a configuration file, a line each, with
 * where it stands, what is there and what may be.
 *
 * @module
 */

import { closestString } from "@std/text/closest-string";
import type { z } from "zod";
import { type JsonPath, type LocatedJson, shortened } from "./located_json.ts";

type Issue = z.core.$ZodIssue;
type RawIssue = z.core.$ZodRawIssue;

/** Longer lists of names are not printed; the nearest name is. */
const MAX_NAMES = 16;

const TYPES: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  record: "an object",
};

/**
 * What the schema expected, for an issue whose schema does not say it itself.
 * Given to the schema as its `error`.
 */
export function expectation(issue: RawIssue): string | undefined {
  const { input } = issue;
  switch (issue.code) {
    case "invalid_type":
      return `expected ${TYPES[issue.expected] ?? issue.expected}`;
    case "invalid_value":
      return oneOf(issue.values, input);
    case "invalid_union":
      // Those of one discriminator, most of all "processor".
      return Array.isArray(issue.options)
        ? oneOf(issue.options, choiceIn(input, issue.discriminator))
        : undefined;
    case "unrecognized_keys":
      return issue.keys.map((key) => nearest(key, namesOf(issue))).join("\n");
    case "too_small":
      return sizeExpected(issue, `${issue.minimum}`, ["or more", "more than"]);
    case "too_big":
      return sizeExpected(issue, `${issue.maximum}`, ["or less", "less than"]);
    case "invalid_format":
      return issue.format === "url"
        ? "expected a URL"
        : `expected a text like ${issue.pattern ?? issue.format}`;
    default:
      return undefined;
  }
}

function oneOf(values: readonly unknown[], input: unknown): string {
  const names = values.map(String);
  const expected = names.length === 1
    ? `expected ${JSON.stringify(values[0])}`
    : `expected one of ${names.join(", ")}`;
  return typeof input === "string"
    ? `${expected}. Did you mean "${closestString(input, names)}"?`
    : expected;
}

function choiceIn(input: unknown, discriminator: unknown): unknown {
  return (input as Record<string, unknown> | undefined)?.[
    String(discriminator)
  ];
}

function namesOf(issue: RawIssue): string[] {
  const { shape } = issue.inst as unknown as { shape?: object };
  return Object.keys(shape ?? {});
}

function nearest(key: string, names: readonly string[]): string {
  if (names.length === 0) return "Leave it out.";
  const list = names.length > MAX_NAMES
    ? ""
    : ` There are ${names.join(", ")}.`;
  return `Did you mean "${closestString(key, [...names])}"?${list}`;
}

function sizeExpected(
  { origin, inclusive }: { origin: string; inclusive?: boolean },
  size: string,
  [orSo, beyond]: readonly [orSo: string, beyond: string],
): string {
  if (origin === "string") {
    return size === "1" && orSo === "or more"
      ? "expected a text that is not empty"
      : `expected a text of ${size} characters ${orSo}`;
  }
  if (origin === "array") return `expected a list of ${size} ${orSo}`;
  return inclusive
    ? `expected a number, ${size} ${orSo}`
    : `expected a number, ${beyond} ${size}`;
}

/** A line for each mistake: `4:17: settings.interval is "soon": expected …`. */
export function describeIssues(
  issues: readonly Issue[],
  json: LocatedJson,
): string[] {
  return issues.flatMap((issue) => describe(issue, json, []));
}

function describe(issue: Issue, json: LocatedJson, base: JsonPath): string[] {
  const path = [...base, ...issue.path];
  switch (issue.code) {
    case "unrecognized_keys": {
      const hints = issue.message.split("\n");
      return issue.keys.map((key, index) => {
        const place = json.placeOfKey([...path, key]);
        return `${place}: ${nameOf([...path, key])} is unknown. ${
          hints[index]
        }`;
      });
    }
    case "invalid_key": {
      const expected = issue.issues.map(({ message }) => message).join(", ");
      return [
        sentence(
          `${json.placeOfKey(path)}: ${nameOf(path)} has a wrong name: ` +
            expected,
        ),
      ];
    }
    case "invalid_union": {
      // The branch whose form it has says best what is wrong inside.
      const branch = issue.errors.find((issues) =>
        issues.every(({ path, code }) =>
          path.length > 0 || code === "unrecognized_keys"
        )
      );
      if (branch) return branch.flatMap((it) => describe(it, json, path));
    }
  }
  const expected = issue.code === "invalid_union" && issue.errors.length > 0
    ? alternatives(issue.errors)
    : issue.message;
  const found = json.has(path) ? `is ${foundAt(path, json)}` : "is missing";
  return [
    sentence(`${json.placeOf(path)}: ${nameOf(path)} ${found}: ${expected}`),
  ];
}

function alternatives(branches: readonly (readonly Issue[])[]): string {
  const phrases = branches.flat().filter(({ path }) => path.length === 0)
    .map(({ message }) => message.replace(/^expected /, ""));
  return `expected ${[...new Set(phrases)].join(" or ")}`;
}

function sentence(text: string): string {
  return /[.?!]$/.test(text) ? text : `${text}.`;
}

/** `providers.claude.timeout`, `providers["my own"].args[0]`. */
export function nameOf(path: JsonPath): string {
  const name = path.map((key) =>
    typeof key === "number"
      ? `[${key}]`
      : /^[\w$*-]+$/.test(String(key))
      ? `.${String(key)}`
      : `[${JSON.stringify(String(key))}]`
  ).join("").replace(/^\./, "");
  return name === "" ? "the file" : name;
}

/** Where a wrong value may be a secret, it is not printed. */
const SECRET = /secret|token|password|auth|key|header|env/i;

function foundAt(path: JsonPath, json: LocatedJson): string {
  const value = path.reduce<unknown>(
    (it, key) => (it as Record<PropertyKey, unknown>)[key],
    json.value,
  );
  if (typeof value === "object" && value !== null) {
    const type = Array.isArray(value) ? "list" : "object";
    if (Object.keys(value).length === 0) return `an empty ${type}`;
    return type === "list" ? "a list" : "an object";
  }
  if (typeof value !== "string") return String(value);
  // Not the provider's name, which may be anything.
  const keys = path[0] === "providers" ? path.slice(2) : path;
  const isUrl = path[0] === "webhooks" && path.at(-1) === "url";
  const isSecret = keys.some((key) =>
    SECRET.test(String(key)) && key !== "concurrencyKey"
  );
  if (isUrl || isSecret) return "a text";
  return JSON.stringify(shortened(value.replace(/\/\/[^/\s]*@/, "//***@")));
}
