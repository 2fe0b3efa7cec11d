/**
 * Codex: `codex exec --json`. It says why it failed only in prose.
 *
 * @module
 */

import type { JsonObject, JsonValue } from "../../task/task.ts";
import { type Usage, usageOf } from "../../task/usage.ts";
import { errorOf } from "./codex_error.ts";
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
import { emptyEnd, type EndRules, errorOfEnd } from "./ended.ts";
import {
  listOf,
  numberOf,
  objectOf,
  oneLine,
  targetOf,
  textOf,
} from "./fields.ts";
import { sinceThen } from "./used.ts";

/** It asks for nothing; its sandbox is what bounds it. */
const PERMISSION_ARGS: Readonly<Record<Permissions, string>> = {
  read: "--sandbox=read-only",
  edit: "--sandbox=workspace-write",
  all: "--dangerously-bypass-approvals-and-sandbox",
};

const RULES: EndRules = {
  name: "codex",
  stderr: [
    [/no rollout found/, "session lost"],
    [/^Not inside a trusted directory/, "permanent"],
    [/^No prompt provided/, "permanent"],
  ],
  codes: { 2: "permanent" },
  noise: /^Reading additional input|^WARNING: |^\d{4}-\d\d-\d\dT\S+ /,
};

/** Codex. */
export const codex: Dialect = {
  name: "codex",
  program: "codex",
  knownVersions: ["0.171.0"],
  sumsUsage: true,
  args: (start) => [...options(start), start.prompt],
  stdinArgs: (start) => [...options(start), "-"],
  openArgs: (sessionId) => ["resume", "--", sessionId],
  read: (options) => new CodexLines(options),
};

/** How a run is started, but for its prompt. */
function options(
  { permissions, model, session, args = [] }: AgentOptions,
): string[] {
  return [
    "exec",
    "--json",
    "--skip-git-repo-check",
    PERMISSION_ARGS[permissions],
    ...model ? [`--model=${model}`] : [],
    ...args,
    // The sandbox is no option of `resume`, but holds for it from here.
    ...session && !session.isNew ? ["resume", "--", session.id] : ["--"],
  ];
}

class CodexLines implements AgentReader {
  readonly #options: ReadOptions;
  /** Items that were shown when they began. */
  readonly #begun = new Set<JsonValue | undefined>();
  #text: string | undefined;
  #error: string | undefined;
  #notice: string | undefined;
  #hasEnded = false;
  #usage: Usage | undefined;

  constructor(options: ReadOptions) {
    this.#options = options;
  }

  line(object: JsonObject): readonly AgentSign[] {
    switch (object.type) {
      case "thread.started": {
        const id = textOf(object.thread_id);
        return id === undefined ? [] : [{ kind: "session", id }];
      }
      case "item.started":
      case "item.completed":
        return this.#item(objectOf(object.item), object.type);
      case "error":
        return this.#failed(textOf(object.message));
      case "turn.failed":
        this.#hasEnded = false;
        return this.#failed(
          textOf(objectOf(object.error).message) ?? this.#error ?? "",
        );
      case "turn.completed":
        this.#hasEnded = true;
        this.#usage = sinceThen(
          usageIn(objectOf(object.usage)),
          this.#options.usedBefore,
        );
        return this.#usage ? [{ kind: "usage", usage: this.#usage }] : [];
      default:
        return [];
    }
  }

  end(ended: AgentEnded): AgentEnd {
    const told = { usage: this.#usage, denied: deniedIn(ended.stderr) };
    if (this.#error !== undefined) {
      return { ...told, error: errorOf(this.#error, this.#options.now()) };
    }
    if (!this.#hasEnded) {
      return {
        ...told,
        error: errorOfEnd({ ...ended, notice: this.#notice }, RULES),
      };
    }
    return this.#text === undefined
      ? { ...told, error: emptyEnd(RULES.name) }
      : { ...told, result: this.#text };
  }

  #failed(message: string | undefined): AgentSign[] {
    if (message === undefined) return [];
    if (!message.startsWith("Reconnecting...")) {
      this.#error = message;
      return [];
    }
    this.#notice = oneLine(message);
    return [{ kind: "notice", text: this.#notice }];
  }

  #item(item: JsonObject, at: "item.started" | "item.completed"): AgentSign[] {
    const text = textOf(item.text);
    const isDone = at === "item.completed";
    switch (item.type) {
      case "agent_message":
        if (!isDone || text === undefined) return [];
        this.#text = text;
        // After which the agent went on, that ended nothing.
        this.#error = undefined;
        return [{ kind: "text", text }];
      case "error": {
        const message = textOf(item.message);
        return isDone && message
          ? [{ kind: "notice", text: oneLine(message) }]
          : [];
      }
      default:
        return [
          ...this.#begin(item),
          ...isDone ? failureIn(item) : [],
        ];
    }
  }

  #begin(item: JsonObject): AgentSign[] {
    const sign = toolIn(item);
    if (!sign || this.#begun.has(item.id)) return [];
    this.#begun.add(item.id);
    return [sign];
  }
}

function toolIn(item: JsonObject): AgentSign | undefined {
  switch (item.type) {
    case "command_execution":
      return tool("Run", targetOf({ command: item.command ?? "" }));
    case "file_change": {
      const paths = listOf(item.changes).map((it) => textOf(objectOf(it).path));
      return tool("Edit", oneLine(paths.filter((it) => it).join(" ")));
    }
    case "web_search":
      return tool("Search", targetOf(item));
    case "mcp_tool_call":
    case "collab_tool_call":
      return tool(
        oneLine(textOf(item.tool) ?? "a tool"),
        targetOf(item.arguments) ?? targetOf(item),
      );
    default:
      return undefined;
  }
}

function tool(name: string, target: string | undefined): AgentSign {
  return { kind: "tool", name, ...target && { target } };
}

function failureIn(item: JsonObject): AgentSign[] {
  const sign = toolIn(item);
  if (sign?.kind !== "tool") return [];
  const call = sign.target ? `${sign.name} ${sign.target}` : sign.name;
  if (item.status === "declined") return [{ kind: "denied", detail: call }];
  if (item.status !== "failed") return [];
  const message = textOf(objectOf(item.error).message) ??
    textOf(item.aggregated_output);
  return [{
    kind: "tool failed",
    message: oneLine(message === undefined ? call : `${call}: ${message}`),
  }];
}

/** Its input has what came from the cache in it, its output the thoughts. */
function usageIn(usage: JsonObject): Usage | undefined {
  const input = numberOf(usage.input_tokens);
  const cached = numberOf(usage.cached_input_tokens);
  return usageOf({
    input: input === undefined ? undefined : input - (cached ?? 0),
    output: usage.output_tokens,
    cached,
  });
}

/** It says on stderr alone that its sandbox held it back. */
function deniedIn(stderr: string): readonly string[] | undefined {
  const found = stderr.matchAll(/^.*\berror=(patch rejected: .*)$/gm);
  const denied = [...new Set([...found].map(([, said]) => oneLine(said!)))];
  return denied.length > 0 ? denied : undefined;
}
