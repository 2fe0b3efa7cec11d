/**
 * What an agent is told of the tasks that its own one waited for.
 *
 * @module
 */

import { cut, headOf } from "../../base/cut.ts";
import { formatCount } from "../../base/figures.ts";
import type { TaskResult } from "../../task/task.ts";
import { stringifyJson } from "../../task/trace.ts";

/** So many of them are named. */
const MAX_NAMED = 20;
/** So much of what came of them is told, in all. */
const MAX_TOLD_CHARACTERS = 4_000;
/** So much of what each was to do. */
const MAX_TITLE_CHARACTERS = 200;

/**
 * The results in short, and where all of them are.
 *
 * @param path of the file that has them
 */
export function whatCameBefore(
  results: readonly TaskResult[],
  path: string,
): string {
  const named = results.slice(0, MAX_NAMED);
  const each = Math.floor(MAX_TOLD_CHARACTERS / named.length);
  const others = results.length - named.length;
  return [
    "What came of the tasks before this one:",
    ...named.map((result) => entryOf(result, each)),
    ...others > 0 ? [`- and ${formatCount(others)} more`] : [],
    `All of it is in this file, as JSON: ${path}`,
  ].join("\n");
}

function entryOf(result: TaskResult, max: number): string {
  const { id, key, instruction, state, output, error } = result;
  const line = instruction?.trim().split("\n", 1)[0] ?? "";
  const title = headOf(line, MAX_TITLE_CHARACTERS);
  const head = `- ${key ?? id} (${state})${title && `: ${title}`}`;
  const told = error !== undefined
    ? `Error: ${error}`
    : result.isTruncated
    ? "Its result is too long to be given to you."
    : output === undefined
    ? ""
    : `Result: ${typeof output === "string" ? output : stringifyJson(output)}`;
  if (told === "") return head;
  const text = cut(told.trim(), max).replaceAll("\n", "\n  ");
  return `${head}\n  ${text}`;
}
