/**
 * What a schedule is made of. Loaded where nobody needs its slots yet.
 *
 * @module
 */

import { UsageError } from "../base/errors.ts";
import { TASK_FIELDS } from "../task/new_task.ts";
import type { JsonObject } from "../task/task.ts";

/** When slots are: one of `cron` and `every`. */
export interface Timing {
  /** Five fields. */
  readonly cron?: string;
  /** A span like `2h`. */
  readonly every?: string;
  /** Of `cron`, and of the times in a task's texts. */
  readonly zone: string;
}

/** What becomes of slots that were missed while no runner was there. */
export const CATCH_UP = ["latest", "all", "none"] as const;

/** One of {@linkcode CATCH_UP}. */
export type CatchUp = (typeof CATCH_UP)[number];

/** What becomes of a slot while the task of the one before has not ended. */
export const OVERLAP = ["skip", "queue", "replace"] as const;

/** One of {@linkcode OVERLAP}. */
export type Overlap = (typeof OVERLAP)[number];

/** A schedule as it is stored: all of it is there, but for `cron` or `every`. */
export interface Definition extends Timing {
  /** The fields of `create`, with placeholders in their texts. */
  readonly task: JsonObject;
  readonly catchUp: CatchUp;
  readonly overlap: Overlap;
}

/** A schedule as somebody gives it. */
export interface GivenDefinition {
  readonly cron?: unknown;
  readonly every?: unknown;
  readonly zone?: unknown;
  readonly task?: unknown;
  readonly catchUp?: unknown;
  readonly overlap?: unknown;
}

/** The fields of {@linkcode GivenDefinition}. */
export const DEFINITION_FIELDS: readonly string[] = [
  "cron",
  "every",
  "zone",
  "task",
  "catchUp",
  "overlap",
] satisfies readonly (keyof GivenDefinition)[];

/** What a name may be: it is an argument, and stands in tables. */
export const SCHEDULE_NAME = /^[\w.-]{1,100}$/;

/** @throws {UsageError} where it is none. */
export function assertName(name: string): void {
  if (SCHEDULE_NAME.test(name)) return;
  throw new UsageError(
    `Cannot call a schedule ${JSON.stringify(name)}: expected letters, ` +
      "digits, _, - and . without blanks, at most 100.",
  );
}

/** What each task gets of its own. */
export const OWN_FIELDS: readonly string[] = ["id", "run_at"];

/** The fields of a task that a schedule may set. */
export const SCHEDULED_FIELDS = TASK_FIELDS.filter((it) =>
  !OWN_FIELDS.includes(it)
);

/** What added a schedule, where a file did not. */
export const BY_COMMAND = "command";

/** A configuration file that has schedules, and the machine that it is on. */
export interface FileSource {
  readonly host: string;
  /** Absolute. */
  readonly path: string;
}

/** The source of a schedule that is in a file. */
export function sourceOf({ host, path }: FileSource): string {
  return `file ${host} ${path}`;
}

/** The file that a source names; undefined where it is none. */
export function fileIn(source: string): FileSource | undefined {
  const [, host, path] = /^file (\S+) (.+)$/s.exec(source) ?? [];
  return host !== undefined && path !== undefined ? { host, path } : undefined;
}
