/**
 * What the program says on standard error, as chaos reads it.
 *
 * @module
 */

import type { LoggedOutcome } from "./history.ts";

const OUTCOME =
  / - (?:INFO|ERROR|WARNING) - Task ([-0-9a-f]{36}) (completed in|failed:|was cancelled|was given back:)/g;

const KINDS: Readonly<Record<string, LoggedOutcome["kind"]>> = {
  "completed in": "completed",
  "failed:": "failed",
  "was cancelled": "cancelled",
  "was given back:": "released",
};

/** The outcomes that a process said were committed. */
export function* outcomesOf(
  log: string,
  pid: number,
): Generator<LoggedOutcome> {
  for (const [, taskId = "", words = ""] of log.matchAll(OUTCOME)) {
    yield { taskId, kind: KINDS[words] ?? "completed", pid };
  }
}

/** Says whether a command gave up because another program held the file. */
export function isBusy(stderr: string): boolean {
  return /error: Cannot open .* holds it\./.test(stderr);
}

/** Says whether a line is one that no kill and no freeze explains. */
export function isWrong(line: string): boolean {
  return / - (WARNING|ERROR) - |^error: /.test(line) &&
    !/ - Task [-0-9a-f]{36} |Stopping now| holds it\./.test(line);
}
