/**
 * What keeps a task from being done over HTTP, for people.
 *
 * @module
 */

import { cut } from "../../base/cut.ts";
import { messageOf } from "../../base/errors.ts";
import { printable } from "../../base/log.ts";
import { RunError, type RunErrorOptions } from "../task_runs.ts";

const MAX_CHARACTERS = 1_000;

/** A text of others in one line, that steers no terminal and is not too long. */
export function excerptOf(text: string): string {
  const line = text.trim().replaceAll(/\s+/g, " ").toWellFormed();
  return printable(cut(line, MAX_CHARACTERS));
}

/** An error whose message may quote others. A second try may help. */
export function httpError(
  message: string,
  options: Partial<RunErrorOptions> = {},
): RunError {
  return new RunError(excerptOf(message), { retryable: true, ...options });
}

/** An error that a second try can't mend. */
export function hopeless(message: string): RunError {
  return httpError(message, { retryable: false });
}

const PROBLEMS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "the connection was refused",
  ECONNRESET: "the server closed the connection",
  EPERM: "agent-runner has no permission to use the network",
  EPIPE: "the server closed the connection",
  EHOSTUNREACH: "the host can't be reached",
  ENETUNREACH: "the network can't be reached",
  ENOTFOUND: "there is no such host",
  ETIMEDOUT: "the host does not answer",
  HPE_HEADER_OVERFLOW: "the headers of the answer are too long",
};

/** What went wrong with a connection, or with finding where to connect to. */
export function connectionProblem(error: unknown): string {
  const code = String((error as { code?: unknown } | undefined)?.code ?? "");
  const problem = PROBLEMS[code];
  if (problem) return problem;
  return code.startsWith("HPE_")
    ? `the answer is not HTTP (${messageOf(error)})`
    : messageOf(error);
}
