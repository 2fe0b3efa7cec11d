/**
 * What the flags of single commands say.
 *
 * @module
 */

import { closestString } from "@std/text/closest-string";
import type { FlagValues } from "../config/config.ts";
import { expectedOf, readNumber, type ValueForm } from "../config/settings.ts";
import { UsageError } from "../base/errors.ts";
import { parseSpan } from "../base/figures.ts";
import type { TaskFilter } from "../store/contract.ts";
import { parseTime } from "../task/new_task.ts";
import { MAX_ANSWER_CHARACTERS } from "../task/task.ts";
import { FILTER_FLAGS } from "./command.ts";
import type { Terminal } from "./terminal.ts";
import {
  SHOWN_STATES,
  type ShownState,
  WAITING_FOR_YOU,
} from "../task/shown_state.ts";

/** A flag's text; undefined where it was not given. */
export function textFlag(flags: FlagValues, name: string): string | undefined {
  const value = flags[name];
  return typeof value === "string" ? value : undefined;
}

/**
 * What the flags say that choose tasks: `--state`, `--provider`, …
 *
 * @throws {UsageError} that names the nearest state that there is.
 */
export function filterFlags(flags: FlagValues, now: Date): TaskFilter {
  return {
    states: textFlag(flags, "state")?.split(",").map(stateOf),
    provider: textFlag(flags, "provider"),
    batch: textFlag(flags, "batch"),
    key: textFlag(flags, "key"),
    tags: textFlag(flags, "tag")?.split(",").map((it) => it.trim()),
    text: textFlag(flags, "text"),
    createdSince: pastFlag(flags, "since", now),
    createdBefore: pastFlag(flags, "before", now),
  };
}

/** Says whether one of them was given. */
export function hasFilterFlag(flags: FlagValues): boolean {
  return FILTER_FLAGS.some(({ name }) => textFlag(flags, name) !== undefined);
}

function stateOf(text: string): ShownState {
  const name = text.trim();
  const state = name === WAITING_FOR_YOU
    ? "needs_input"
    : SHOWN_STATES.find((it) => it === name);
  if (state) return state;
  throw new UsageError(
    `Unknown state "${name}". Did you mean "${
      closestString(name, [...SHOWN_STATES])
    }"? States: ${SHOWN_STATES.join(", ")}.`,
  );
}

/**
 * The time that a flag like `--since 7d` or `--since 2026-11-01` says; undefined
 * where it was not given.
 *
 * @throws {UsageError} where it says something else.
 */
export function pastFlag(
  flags: FlagValues,
  name: string,
  now: Date,
): Date | undefined {
  const text = textFlag(flags, name);
  if (text === undefined) return undefined;
  const spanMs = parseSpan(text);
  const time = spanMs === undefined
    ? parseTime(text)
    : new Date(now.getTime() - spanMs);
  if (time && time <= now) return time;
  throw new UsageError(
    `--${name} is "${text}": expected a span like 90s, 15m, 24h, 7d or 2w, ` +
      "or a time in the past like 2026-01-31.",
  );
}

/**
 * What a flag like `--limit` says; undefined where it was not given.
 *
 * @throws {UsageError} where it is no whole number of 1 or more.
 */
export function countFlag(flags: FlagValues, name: string): number | undefined {
  return numberFlag(flags, name, { kind: "count", min: 1, max: 999_999_999 });
}

/**
 * The milliseconds that a flag like `--timeout 90s` says; undefined where it was not given.
 *
 * @throws {UsageError} where it is no duration, or more than a day.
 */
export function durationFlag(
  flags: FlagValues,
  name: string,
): number | undefined {
  return numberFlag(flags, name, { kind: "seconds", min: 0.001, max: 86_400 });
}

function numberFlag(
  flags: FlagValues,
  name: string,
  form: ValueForm,
): number | undefined {
  const text = textFlag(flags, name);
  if (text === undefined) return undefined;
  const number = readNumber(form, text);
  if (number !== undefined) return number;
  throw new UsageError(
    `--${name} is "${text}": expected ${expectedOf(form, text)}.`,
  );
}

/**
 * What a person says: the argument, or standard input where that is `-`.
 *
 * @param what it is: `answer`
 * @throws {UsageError} where it says nothing, or too much.
 */
export async function readWords(
  what: string,
  given: string,
  terminal: Terminal,
): Promise<string> {
  const text = given === "-" ? (await terminal.readInput()).trimEnd() : given;
  if (text.trim() === "") {
    throw new UsageError(
      `Cannot ${what}: the ${what} is empty. Say something.`,
    );
  }
  if (text.length <= MAX_ANSWER_CHARACTERS) return text;
  throw new UsageError(
    `Cannot ${what}: the ${what} has ${text.length} characters, more than ` +
      `${MAX_ANSWER_CHARACTERS}. Give the path of a file instead.`,
  );
}
