/**
 * What it means when an agent's CLI ended without saying how: by its exit code and
 * by what it printed beside its stream.
 *
 * @module
 */

import { stripAnsiCode } from "@std/fmt/colors";
import type { AgentEnded, AgentError } from "./dialect.ts";
import { messageOf } from "./fields.ts";

/**
 * After a limit of which nobody knows the end, which the CLI has already waited for
 * in vain: a minute more would not help.
 */
export const LONG_RETRY_MS = 15 * 60_000;

/** What an error means; one of the account is permanent. */
export type ErrorMeaning = AgentError["kind"] | "account";

/** An error with what it means. */
export function errorMeaning(
  meaning: ErrorMeaning,
  message: string,
): AgentError {
  return meaning === "account"
    ? { kind: "permanent", isAccount: true, message }
    : { kind: meaning, message };
}

/** How a CLI's end is read. */
export interface EndRules {
  /** The agent's. */
  readonly name: string;
  /** What a line on stderr means; the first that matches counts. */
  readonly stderr: readonly (readonly [RegExp, ErrorMeaning])[];
  /** What an exit code means. */
  readonly codes?: Readonly<Record<number, ErrorMeaning>>;
  /** Lines on stderr that say nothing of an error. */
  readonly noise?: RegExp;
}

/** An end without a word of it in the stream. */
export interface SilentEnd extends AgentEnded {
  /** What the CLI said of itself last: that it tries again. */
  readonly notice?: string | undefined;
}

/** Why a CLI ended without a final line. */
export function errorOfEnd(
  { code, signal, stderr, plain, notice }: SilentEnd,
  { name, stderr: rules, codes = {}, noise }: EndRules,
): AgentError {
  const last = notice ? `. The last it said: ${notice}` : "";
  if (signal !== null) {
    return {
      kind: "retryable",
      message: `${name} was ended by ${signal}${last}`,
    };
  }
  const lines = linesOf(stderr, noise);
  for (const [pattern, meaning] of rules) {
    const line = lines.find((line) => pattern.test(line));
    if (line !== undefined) return errorMeaning(meaning, saidIn(line));
  }
  if (code === 0) {
    return { kind: "retryable", message: `${name} ended without a result` };
  }
  const line = lines.find((line) => SAYS_ERROR.test(line)) ?? lines[0] ??
    linesOf(plain, noise)[0];
  return errorMeaning(
    codes[code] ?? "retryable",
    line === undefined
      ? `${name} ended with exit code ${code}${last}`
      : saidIn(line),
  );
}

/** The same for a final line that has no text. */
export function emptyEnd(name: string): AgentError {
  return { kind: "retryable", message: `${name} ended without a result` };
}

/**
 * What a status of HTTP means after the CLI's own retries, or none at all; 429 is
 * each agent's own business.
 */
export function meaningOfStatus(
  status: number | undefined,
): "account" | "permanent" | "retryable" {
  if (status !== undefined && OF_ACCOUNT.includes(status)) return "account";
  const isOurs = status !== undefined && status >= 400 && status < 500 &&
    ![408, 409, 429].includes(status);
  return isOurs ? "permanent" : "retryable";
}

/** A key that is wrong, credit that is used up, what the key may not do. */
const OF_ACCOUNT = [401, 402, 403];

const SAYS_ERROR = /^(?:\w*Error|error|fatal|panic)\b/i;
const MAX_STDERR_CHARACTERS = 200_000;

/** The lines of a text that say something. */
function linesOf(text: string, noise: RegExp | undefined): string[] {
  const plain: string = stripAnsiCode(text.slice(-MAX_STDERR_CHARACTERS));
  return plain.split("\n").map((line) => line.trim())
    .filter((line) => line !== "" && !noise?.test(line));
}

function saidIn(line: string): string {
  return messageOf(line.replace(/^error:\s*/i, ""));
}
