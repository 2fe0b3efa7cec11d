/**
 * The stream that claude prints, and qwen after it: lines of `system`, `assistant`,
 * `user` and, at the end, `result`.
 *
 * @module
 */

import { formatSpan } from "../../base/figures.ts";
import type { JsonObject, JsonValue } from "../../task/task.ts";
import type { Usage } from "../../task/usage.ts";
import type {
  AgentEnd,
  AgentEnded,
  AgentError,
  AgentReader,
  AgentSign,
} from "./dialect.ts";
import { emptyEnd, type EndRules, errorOfEnd } from "./ended.ts";
import {
  callOf,
  listOf,
  messageOf,
  nameOf,
  numberOf,
  objectOf,
  oneLine,
  targetOf,
  textOf,
  timeOf,
} from "./fields.ts";

/** What the lines of a run told so far. */
export interface Told {
  model?: string | undefined;
  /** The last line of type `result`. */
  result?: JsonObject;
  /** What the API answered last, where that was an error: `rate_limit`. */
  apiError?: string | undefined;
  /** The account's limit is reached. */
  limit?: { readonly until: Date | undefined } | undefined;
}

/** What differs between the agents that print such lines. */
export interface Peculiarities {
  readonly rules: EndRules;
  usage(result: JsonObject, told: Told): Usage | undefined;
  /** Why a final line is none of success; undefined where it is one. */
  error(result: JsonObject, told: Told): AgentError | undefined;
  /** What a tool answers that is not offered, for it is not permitted. */
  readonly unavailable?: RegExp;
  /** Why a run ended without a final line, where the lines before tell it. */
  silentError?(told: Told): AgentError | undefined;
}

/** Reads such lines. */
export class ClaudeLines implements AgentReader {
  readonly #agent: Peculiarities;
  readonly #told: Told = {};
  #session: string | undefined;
  #notice: string | undefined;
  /** What it calls a tool by, to what that is. */
  readonly #calls = new Map<unknown, string>();

  constructor(agent: Peculiarities) {
    this.#agent = agent;
  }

  line(object: JsonObject): readonly AgentSign[] {
    switch (object.type) {
      case "system":
        return this.#system(object);
      case "assistant":
        return this.#assistant(object);
      case "user":
        return this.#failures(object);
      case "rate_limit_event":
        return this.#limit(objectOf(object.rate_limit_info));
      case "result":
        return this.#result(object);
      default:
        return [];
    }
  }

  end(ended: AgentEnded): AgentEnd {
    const { rules, silentError, usage, error } = this.#agent;
    const { result } = this.#told;
    if (!result) {
      return {
        error: silentError?.(this.#told) ??
          errorOfEnd({ ...ended, notice: this.#notice }, rules),
      };
    }
    const used = usage(result, this.#told);
    const text = textOf(result.result);
    const failure = error(result, this.#told) ??
      (text === undefined ? emptyEnd(rules.name) : undefined);
    return failure
      ? { error: failure, usage: used }
      : { result: text, usage: used };
  }

  #system(object: JsonObject): AgentSign[] {
    switch (object.subtype) {
      case "init":
        this.#told.model = textOf(object.model);
        return this.#begun(object.session_id);
      case "api_retry":
        this.#notice = retryIn(object);
        return [{ kind: "notice", text: this.#notice }];
      default:
        return [];
    }
  }

  #begun(session: JsonValue | undefined): AgentSign[] {
    const id = textOf(session);
    if (id === undefined || id === this.#session) return [];
    this.#session = id;
    return [{ kind: "session", id }];
  }

  #assistant(object: JsonObject): AgentSign[] {
    // A helper of the agent's own: what it does is seen, what it says is not the
    // agent's word.
    const isOwn = textOf(object.parent_tool_use_id) === undefined;
    if (isOwn) this.#told.apiError = textOf(object.error);
    return listOf(objectOf(object.message).content).flatMap(
      (it): AgentSign[] => {
        const { type, text, name, input, id } = objectOf(it);
        const said = textOf(text);
        if (type === "text" && said && isOwn && !this.#told.apiError) {
          return [{ kind: "text", text: said }];
        }
        if (type !== "tool_use") return [];
        const target = targetOf(input);
        this.#calls.set(id, callOf(name, input));
        return [{ kind: "tool", name: nameOf(name), ...target && { target } }];
      },
    );
  }

  /** What tools answered that failed. */
  #failures(object: JsonObject): AgentSign[] {
    return listOf(objectOf(object.message).content).flatMap(
      (it): AgentSign[] => {
        const { type, is_error, content, tool_use_id } = objectOf(it);
        if (type !== "tool_result") return [];
        const call = this.#calls.get(tool_use_id);
        this.#calls.delete(tool_use_id);
        if (is_error !== true) return [];
        const text = textOf(content) ??
          listOf(content).map((it) => textOf(objectOf(it).text) ?? "")
            .join(" ");
        const said = text.slice(0, MAX_FAILURE_CHARACTERS)
          .replace(/<\/?tool_use_error>/g, "");
        return this.#agent.unavailable?.test(said)
          ? [{ kind: "denied", detail: call ?? oneLine(said) }]
          : [{ kind: "tool failed", message: oneLine(said) }];
      },
    );
  }

  #limit(info: JsonObject): AgentSign[] {
    const { status, resetsAt, rateLimitType, isUsingOverage, utilization } =
      info;
    const limit = `the ${textOf(rateLimitType) ?? "usage"} limit`;
    // With money for more, the work goes on.
    const isReached = status === "rejected" && isUsingOverage !== true;
    this.#told.limit = isReached ? { until: timeOf(resetsAt) } : undefined;
    if (status === "allowed" || status === undefined) return [];
    const part = numberOf(utilization);
    const text = status === "rejected"
      ? `${limit} is reached`
      : part === undefined
      ? `${limit} is near`
      : `${Math.round(part * 100)}% of ${limit} is used`;
    return [{ kind: "notice", text: oneLine(text) }];
  }

  #result(object: JsonObject): AgentSign[] {
    this.#told.result = object;
    const usage = this.#agent.usage(object, this.#told);
    const isLost = object.is_error === true;
    return [
      // Where it is an error, it is the id of the session that was asked for.
      ...isLost || this.#session ? [] : this.#begun(object.session_id),
      ...listOf(object.permission_denials).map((it): AgentSign => {
        const { tool_name, tool_input } = objectOf(it);
        return { kind: "denied", detail: callOf(tool_name, tool_input) };
      }),
      ...usage ? [{ kind: "usage", usage } as const] : [],
    ];
  }
}

/** What a final line that is marked as an error says of it. */
export function messageOfResult({ result, errors, error }: JsonObject): string {
  const [first] = listOf(errors);
  return messageOf(
    textOf(result) ?? textOf(first) ?? textOf(objectOf(first).message) ??
      textOf(objectOf(error).message) ?? textOf(error),
  );
}

/** `Retry 2/10 in 1.2 s: rate_limit (429)` */
function retryIn(object: JsonObject): string {
  const attempt = numberOf(object.attempt) ?? "?";
  const max = numberOf(object.max_retries) ?? "?";
  const delayMs = numberOf(object.retry_delay_ms);
  const status = numberOf(object.error_status);
  const wait = delayMs === undefined ? "" : ` in ${formatSpan(delayMs)}`;
  const why = textOf(object.error) ?? "unknown";
  return oneLine(
    `Retry ${attempt}/${max}${wait}: ${why}${status ? ` (${status})` : ""}`,
  );
}

const MAX_FAILURE_CHARACTERS = 2_000;
