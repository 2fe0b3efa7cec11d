/**
 * Claude Code: `claude -p --output-format stream-json`.
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
import {
  type EndRules,
  type ErrorMeaning,
  errorMeaning,
  meaningOfStatus,
} from "./ended.ts";
import { listOf, numberOf, objectOf, sumOf, textOf } from "./fields.ts";

/** What it may do without being asked; all else is denied, for nobody is there. */
const PERMISSION_ARGS: Readonly<Record<Permissions, readonly string[]>> = {
  // A person's settings may allow edits to all sessions: not to this one.
  read: [
    "--permission-mode=dontAsk",
    "--disallowedTools=Edit,Write,NotebookEdit",
  ],
  edit: ["--permission-mode=acceptEdits"],
  all: ["--permission-mode=bypassPermissions"],
};

const RULES: EndRules = {
  name: "claude",
  stderr: [
    [/No conversation found|Session ID .* is already in use/, "session lost"],
    [/unknown option|option .* is invalid|invalid argument/i, "permanent"],
    [/cannot be used with root/, "permanent"],
  ],
};

/** Claude Code. */
export const claude: Dialect = {
  name: "claude",
  program: "claude",
  knownVersions: ["2.1.197"],
  takesSessionId: true,
  bindsSessionToFolder: true,
  args: (start) => [...options(start), "--", start.prompt],
  stdinArgs: options,
  openArgs: (sessionId) => [`--resume=${sessionId}`],
  read: () => new ClaudeLines(CLAUDE),
};

/** How a run is started, but for its prompt. */
function options(
  { permissions, model, session, args = [], budgetUsd }: AgentOptions,
): string[] {
  return [
    "-p",
    "--output-format=stream-json",
    "--verbose",
    ...PERMISSION_ARGS[permissions],
    ...model ? [`--model=${model}`] : [],
    ...session
      ? [`--${session.isNew ? "session-id" : "resume"}=${session.id}`]
      : [],
    ...budgetUsd === undefined ? [] : [`--max-budget-usd=${budgetUsd}`],
    ...args,
  ];
}

const CLAUDE: Peculiarities = {
  rules: RULES,
  usage: usageIn,
  error: errorIn,
  // Of what was never allowed, its final line does not tell.
  unavailable: /^Error: No such tool available: .* exists but is not enabled\b/,
  silentError: ({ limit }) =>
    limit && {
      kind: "limit",
      message: "The usage limit is reached",
      until: limit.until,
    },
};

/** `modelUsage` is of all models of the run, as its cost is. */
function usageIn(
  { usage, modelUsage, total_cost_usd }: JsonObject,
  { model }: Told,
): Usage | undefined {
  const models = Object.entries(objectOf(modelUsage)).map(([name, value]) => {
    const used = objectOf(value);
    return { name, ...used, cost: numberOf(used.costUSD) ?? 0 } as const;
  });
  const all =
    models as readonly (JsonObject & { name: string; cost: number })[];
  const main = objectOf(usage);
  const sum = (key: string) => sumOf(...all.map((it) => it[key]));
  return usageOf({
    input: sumOf(sum("inputTokens"), sum("cacheCreationInputTokens")) ??
      sumOf(main.input_tokens, main.cache_creation_input_tokens),
    output: sum("outputTokens") ?? main.output_tokens,
    cached: sum("cacheReadInputTokens") ?? main.cache_read_input_tokens,
    costUsd: total_cost_usd,
    model: all.toSorted((one, other) => other.cost - one.cost)[0]?.name ??
      model,
  });
}

/** What the errors mean that its lines name. */
const MEANINGS: Readonly<Record<string, ErrorMeaning>> = {
  rate_limit: "limit",
  overloaded: "retryable",
  server_error: "retryable",
  authentication_failed: "account",
  billing_error: "account",
  invalid_request: "permanent",
  error_max_turns: "permanent",
  error_max_budget_usd: "permanent",
};

/** `is_error` decides: of an error of the API, the subtype is `success`. */
function errorIn(result: JsonObject, told: Told): AgentError | undefined {
  const subtype = textOf(result.subtype) ?? "";
  if (result.is_error !== true && !subtype.startsWith("error_")) {
    return undefined;
  }
  const message = messageOfResult(result);
  const [first] = listOf(result.errors);
  if (textOf(first)?.startsWith("No conversation found")) {
    return { kind: "session lost", message };
  }
  const status = numberOf(result.api_error_status);
  const meaning = meaningOf(subtype) ?? meaningOf(told.apiError) ??
    (status === 429 ? "limit" : meaningOfStatus(status));
  return meaning === "limit"
    ? { kind: meaning, message, until: told.limit?.until }
    : errorMeaning(meaning, message);
}

function meaningOf(name: string | undefined): ErrorMeaning | undefined {
  return name !== undefined && Object.hasOwn(MEANINGS, name)
    ? MEANINGS[name]
    : undefined;
}
