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

/** How a CLI's end is read. */
export interface EndRules {
  /** The agent's. */
  readonly name: string;
  /** What a line on stderr means; the first that matches counts. */
  readonly stderr: readonly (readonly [RegExp, AgentError["kind"]])[];
  /** What an exit code means. */
  readonly codes?: Readonly<Record<number, AgentError["kind"]>>;
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
  for (const [pattern, kind] of rules) {
    const line = lines.find((line) => pattern.test(line));
    if (line !== undefined) return { kind, message: saidIn(line) };
  }
  if (code === 0) {
    return { kind: "retryable", message: `${name} ended without a result` };
  }
  const line = lines.find((line) => SAYS_ERROR.test(line)) ?? lines[0] ??
    linesOf(plain, noise)[0];
  return {
    kind: codes[code] ?? "retryable",
    message: line === undefined
      ? `${name} ended with exit code ${code}${last}`
      : saidIn(line),
  };
}

/** The same for a final line that has no text. */
export function emptyEnd(name: string): AgentError {
  return { kind: "retryable", message: `${name} ended without a result` };
}

/**
 * What a status of HTTP means after the CLI's own retries, or none at all; 429 is
 * each agent's own business.
 */
export function kindOfStatus(
  status: number | undefined,
): "permanent" | "retryable" {
  const isOurs = status !== undefined && status >= 400 && status < 500 &&
    ![408, 409, 429].includes(status);
  return isOurs ? "permanent" : "retryable";
}

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
