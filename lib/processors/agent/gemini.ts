/**
 * Gemini CLI: `gemini -o stream-json`.
 *
 * @module
 */

import type { JsonObject } from "../../task/task.ts";
import { type Usage, usageOf } from "../../task/usage.ts";
import type {
  AgentEnd,
  AgentEnded,
  AgentOptions,
  AgentReader,
  AgentSign,
  Dialect,
  Permissions,
  ReadOptions,
} from "./dialect.ts";
import { emptyEnd, errorOfEnd } from "./ended.ts";
import {
  callOf,
  nameOf,
  numberOf,
  objectOf,
  oneLine,
  targetOf,
  textOf,
} from "./fields.ts";
import { errorOf, RULES } from "./gemini_error.ts";

/**
 * What asks first is not offered to it at all, for nobody is there. Not `plan` to
 * read: when its plan is made, it goes on in `yolo` where nobody is there.
 */
const MODES: Readonly<Record<Permissions, string>> = {
  read: "default",
  edit: "auto_edit",
  all: "yolo",
};

/** Gemini CLI. */
export const gemini: Dialect = {
  name: "gemini",
  program: "gemini",
  knownVersions: ["0.61.0"],
  takesSessionId: true,
  bindsSessionToFolder: true,
  args: (start) => [...options(start), `--prompt=${start.prompt}`],
  stdinArgs: options,
  openArgs: (sessionId) => [`--resume=${sessionId}`],
  read: (options) => new GeminiLines(options),
};

/** How a run is started, but for its prompt. */
function options(
  { permissions, model, session, args = [] }: AgentOptions,
): string[] {
  return [
    "--output-format=stream-json",
    `--approval-mode=${MODES[permissions]}`,
    "--skip-trust",
    ...model ? [`--model=${model}`] : [],
    ...session
      ? [`--${session.isNew ? "session-id" : "resume"}=${session.id}`]
      : [],
    ...args,
  ];
}

class GeminiLines implements AgentReader {
  readonly #now: ReadOptions["now"];
  /** The pieces of a text that is not whole yet. */
  #pieces: string[] = [];
  /** The last text that was whole. */
  #text: string | undefined;
  #error: string | undefined;
  #result: JsonObject | undefined;
  #model: string | undefined;
  /** What it calls a tool by, to what that is. */
  readonly #calls = new Map<unknown, string>();

  constructor({ now }: ReadOptions) {
    this.#now = now;
  }

  line(object: JsonObject): readonly AgentSign[] {
    switch (object.type) {
      case "init": {
        const id = textOf(object.session_id);
        this.#model = textOf(object.model);
        return id === undefined ? [] : [{ kind: "session", id }];
      }
      case "message":
        return object.role === "assistant" ? this.#said(object) : [];
      case "tool_use": {
        const { tool_name, tool_id, parameters } = object;
        const target = targetOf(parameters);
        this.#calls.set(tool_id, callOf(tool_name, parameters));
        return [...this.#whole(), {
          kind: "tool",
          name: nameOf(tool_name),
          ...target && { target },
        }];
      }
      case "tool_result":
        return [...this.#whole(), ...this.#failure(object)];
      case "error":
        return [...this.#whole(), ...this.#failed(object)];
      case "result": {
        this.#result = object;
        const usage = this.#usage();
        return [
          ...this.#whole(),
          ...usage ? [{ kind: "usage", usage } as const] : [],
        ];
      }
      default:
        return [];
    }
  }

  end(ended: AgentEnded): AgentEnd {
    this.#whole();
    const usage = this.#usage();
    if (!this.#result) {
      return {
        error: this.#error === undefined
          ? errorOfEnd(ended, RULES)
          : errorOf(this.#error, { ...ended, now: this.#now() }),
      };
    }
    const { status, error } = this.#result;
    const said = textOf(objectOf(error).message) ?? this.#error ??
      (status === "success" ? undefined : "");
    if (said !== undefined) {
      return { error: errorOf(said, { ...ended, now: this.#now() }), usage };
    }
    return this.#text === undefined
      ? { error: emptyEnd(RULES.name), usage }
      : { result: this.#text, usage };
  }

  /** A piece is shown with the next line, when it is known whether more follows. */
  #said({ content, delta }: JsonObject): AgentSign[] {
    if (typeof content !== "string" || content === "") return [];
    const last = this.#pieces.at(-1);
    this.#pieces.push(content);
    // After which the agent went on, that ended nothing.
    this.#error = undefined;
    return [
      ...last === undefined
        ? []
        : [{ kind: "text", text: last, isPart: true } as const],
      ...delta === true ? [] : this.#whole(),
    ];
  }

  /** What is said so far is whole. */
  #whole(): AgentSign[] {
    const last = this.#pieces.at(-1);
    if (last === undefined) return [];
    this.#text = textOf(this.#pieces.join("")) ?? this.#text;
    this.#pieces = [];
    return [{ kind: "text", text: last }];
  }

  #failure({ tool_id, status, output, error }: JsonObject): AgentSign[] {
    const call = this.#calls.get(tool_id) ?? "a tool";
    this.#calls.delete(tool_id);
    if (status !== "error") return [];
    const { type, message } = objectOf(error);
    // What it may not do is taken from its tools.
    return type === "tool_not_registered" || type === "policy_violation"
      ? [{ kind: "denied", detail: call }]
      : [{
        kind: "tool failed",
        message: oneLine(textOf(message) ?? textOf(output) ?? call),
      }];
  }

  #failed({ severity, message }: JsonObject): AgentSign[] {
    const said = textOf(message);
    if (said === undefined) return [];
    if (severity === "error") {
      this.#error = said;
      return [];
    }
    return [{ kind: "notice", text: oneLine(said) }];
  }

  #usage(): Usage | undefined {
    const stats = objectOf(this.#result?.stats);
    const read = numberOf(stats.input_tokens);
    const cached = numberOf(stats.cached) ?? 0;
    const written = numberOf(stats.output_tokens);
    // Its thoughts are only in the sum.
    const rest = (numberOf(stats.total_tokens) ?? 0) - (read ?? 0);
    return usageOf({
      input: read === undefined ? undefined : read - cached,
      output: written === undefined ? undefined : Math.max(written, rest),
      cached: numberOf(stats.cached),
      model: mainModel(objectOf(stats.models)) ?? this.#model,
    });
  }
}

/** The model that did most; its router is the first one. */
function mainModel(models: JsonObject): string | undefined {
  let main: string | undefined;
  let most = 0;
  for (const [name, value] of Object.entries(models)) {
    const tokens = numberOf(objectOf(value).total_tokens) ?? 0;
    if (tokens >= most) [main, most] = [name, tokens];
  }
  return main;
}
