/**
 * Qwen Code: `qwen -o stream-json`. Its lines are claude's, but it marks no error
 * of the API as one.
 *
 * @module
 */

import type { JsonObject } from "../../task/task.ts";
import { type Usage, usageOf } from "../../task/usage.ts";
import {
  ClaudeLines,
  messageOfResult,
  type Peculiarities,
  type Told,
} from "./claude_lines.ts";
import type {
  AgentError,
  AgentOptions,
  Dialect,
  Permissions,
} from "./dialect.ts";
import { type EndRules, errorMeaning, meaningOfStatus } from "./ended.ts";
import { apiErrorIn, messageOf, numberOf, objectOf, textOf } from "./fields.ts";
import { sinceThen } from "./used.ts";

/** What asks first is not offered to it at all, for nobody is there. */
const MODES: Readonly<Record<Permissions, string>> = {
  read: "default",
  edit: "auto-edit",
  all: "yolo",
};

const RULES: EndRules = {
  name: "qwen",
  stderr: [
    [/No saved session found|Session Id .* is already in use/, "session lost"],
    [/^Unknown arguments?: /, "permanent"],
  ],
  codes: { 53: "permanent" },
};

/** Qwen Code. */
export const qwen: Dialect = {
  name: "qwen",
  program: "qwen",
  knownVersions: ["0.15.10"],
  takesSessionId: true,
  bindsSessionToFolder: true,
  sumsUsage: true,
  // Of a text in quotes, its parser takes those for the shell's.
  args: (start) => [...options(start), `--prompt=${start.prompt} `],
  stdinArgs: options,
  openArgs: (sessionId) => [`--resume=${sessionId}`],
  read: ({ usedBefore }) =>
    new ClaudeLines({
      ...QWEN,
      usage: (result, told) => sinceThen(usageIn(result, told), usedBefore),
    }),
};

/** How a run is started, but for its prompt. */
function options(
  { permissions, model, session, args = [] }: AgentOptions,
): string[] {
  return [
    "--output-format=stream-json",
    `--approval-mode=${MODES[permissions]}`,
    ...model ? [`--model=${model}`] : [],
    ...session
      ? [`--${session.isNew ? "session-id" : "resume"}=${session.id}`]
      : [],
    ...args,
  ];
}

const QWEN: Peculiarities = {
  rules: RULES,
  usage: usageIn,
  error: errorIn,
  unavailable: /^Tool "[^"]*" not found in registry\b/,
};

/** Its input has what came from the cache in it. */
function usageIn({ usage }: JsonObject, { model }: Told): Usage | undefined {
  const { input_tokens, output_tokens, cache_read_input_tokens } = objectOf(
    usage,
  );
  const cached = numberOf(cache_read_input_tokens);
  const input = numberOf(input_tokens);
  return usageOf({
    input: input === undefined ? undefined : input - (cached ?? 0),
    output: output_tokens,
    cached,
    model,
  });
}

function errorIn(result: JsonObject): AgentError | undefined {
  const isMarked = result.is_error === true;
  const text = isMarked ? messageOfResult(result) : textOf(result.result) ?? "";
  const said = apiErrorIn(text);
  if (said === undefined) {
    if (!isMarked) return undefined;
    const isAccount = text.startsWith("Missing API key");
    return errorMeaning(isAccount ? "account" : "permanent", text);
  }
  const message = messageOf(said);
  const status = Number(/^\d{3}\b/.exec(said)?.[0] ?? NaN);
  return errorMeaning(
    status === 429 ? "limit" : meaningOfStatus(status),
    message,
  );
}
