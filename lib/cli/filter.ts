/**
 * The flags that choose tasks by what they have in common.
 *
 * @module
 */

import { closestString } from "@std/text/closest-string";
import type { FlagValues } from "../config/config.ts";
import { UsageError } from "../base/errors.ts";
import { parseSpan } from "../base/figures.ts";
import { parseTime } from "../task/new_task.ts";
import { TASK_STATES, type TaskState } from "../task/task.ts";
import { textFlag } from "./context.ts";

/**
 * What `--state` says; undefined where it was not given.
 *
 * @throws {UsageError} that names the nearest state that there is.
 */
export function statesFlag(flags: FlagValues): TaskState[] | undefined {
  return textFlag(flags, "state")?.split(",").map(stateOf);
}

function stateOf(text: string): TaskState {
  const name = text.trim();
  const state = TASK_STATES.find((it) => it === name);
  if (state) return state;
  throw new UsageError(
    `Unknown state "${name}". Did you mean "${
      closestString(name, [...TASK_STATES])
    }"? States: ${TASK_STATES.join(", ")}.`,
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
  const text = textFlag(flags, name);
  if (text === undefined) return undefined;
  const count = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (count > 0) return count;
  throw new UsageError(
    `--${name} is "${text}": expected a whole number, 1 or more.`,
  );
}

/**
 * The milliseconds that a flag in seconds says; undefined where it was not given.
 *
 * @throws {UsageError} where it is no number above 0, or more than a day.
 */
export function secondsFlag(
  flags: FlagValues,
  name: string,
): number | undefined {
  const text = textFlag(flags, name);
  if (text === undefined) return undefined;
  const seconds = /^(\d+(\.\d+)?|\.\d+)$/.test(text) ? Number(text) : 0;
  if (seconds >= 0.001 && seconds <= 86_400) return seconds * 1_000;
  throw new UsageError(
    `--${name} is "${text}": expected a number of seconds, more than 0, ` +
      "at most 86400 (a day).",
  );
}
