/**
 * OpenCode: `opencode run --format json`. It has no last line: the end is that of a
 * step with the reason `stop`.
 *
 * @module
 */

import type { JsonObject } from "../../task/task.ts";
import { addUsage, type Usage, usageOf } from "../../task/usage.ts";
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
  callOf,
  nameOf,
  numberOf,
  objectOf,
  oneLine,
  sumOf,
  targetOf,
  textOf,
} from "./fields.ts";
import { errorOf } from "./opencode_error.ts";

/**
 * It has no sandbox, and lets each command run that no rule forbids, in its agent
 * `plan` too. What is denied by a rule leaves it at work; what it would have to ask
 * for ends the run.
 */
const RULES_OF_PERMISSIONS: Readonly<
  Record<Permissions, Readonly<Record<string, string>> | undefined>
> = {
  read: { edit: "deny", bash: "deny", external_directory: "deny" },
  edit: { edit: "allow", bash: "deny", external_directory: "deny" },
  all: undefined,
};

const RULES: EndRules = {
  name: "opencode",
  stderr: [
    [/\bSession not found\b/, "session lost"],
    [/^opencode run \[message/, "permanent"], // Its help: of a wrong flag.
  ],
};

/** OpenCode. */
export const opencode: Dialect = {
  name: "opencode",
  program: "opencode",
  knownVersions: ["1.18.33"],
  args: (start) => [...options(start), "--", ...wordsOf(start.prompt)],
  stdinArgs: options,
  variables({ permissions }): Record<string, string> {
    const rules = RULES_OF_PERMISSIONS[permissions];
    return rules ? { OPENCODE_PERMISSION: JSON.stringify(rules) } : {};
  },
  openArgs: (sessionId) => [`--session=${sessionId}`],
  read: (options) => new OpencodeLines(options),
};

/** How a run is started, but for its prompt. */
function options(
  { permissions, model, session, args = [] }: AgentOptions,
): string[] {
  return [
    "run",
    "--format=json",
    ...permissions === "all" ? ["--auto"] : [],
    ...model ? [`--model=${model}`] : [],
    ...session && !session.isNew ? [`--session=${session.id}`] : [],
    ...args,
  ];
}

/** What its parser takes for a number. */
const IS_NUMBER =
  /^(?:0x[\da-f]+|-?(?!0[^.])(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?)$/i;

/**
 * Words that it puts together to this prompt, with blanks between: a word with a
 * blank in it would get quotes around it, and `\"` for those in it. A number would
 * make it fail, so it comes with the word before, behind a tab.
 */
function wordsOf(prompt: string): string[] {
  const words: string[] = [];
  for (const word of prompt.split(" ")) {
    if (!IS_NUMBER.test(word)) words.push(word);
    else words.push(`${words.pop() ?? ""}\t${word}`);
  }
  return words;
}

class OpencodeLines implements AgentReader {
  readonly #now: ReadOptions["now"];
  #session: string | undefined;
  #text: string | undefined;
  #usage: Usage | undefined;
  #error: JsonObject | undefined;
  /** Why the last step ended; undefined where one has begun since. */
  #reason: string | undefined;
  #denied: string | undefined;

  constructor({ now }: ReadOptions) {
    this.#now = now;
  }

  line(object: JsonObject): readonly AgentSign[] {
    const id = textOf(object.sessionID);
    const part = objectOf(object.part);
    const isNew = id !== undefined && this.#session === undefined;
    this.#session ??= id;
    const signs: AgentSign[] = isNew ? [{ kind: "session", id }] : [];
    // The session of a helper of its own.
    if (id !== this.#session) return signs;
    switch (object.type) {
      case "step_start":
        this.#reason = undefined;
        return signs;
      case "text": {
        const text = textOf(part.text);
        if (text === undefined) return signs;
        this.#text = text;
        return [...signs, { kind: "text", text }];
      }
      case "tool_use":
        return [...signs, ...this.#tool(part)];
      case "step_finish":
        return [...signs, ...this.#finished(part)];
      case "error":
        this.#error = objectOf(object.error);
        return signs;
      default:
        return signs;
    }
  }

  end(ended: AgentEnded): AgentEnd {
    const usage = this.#usage;
    if (this.#error) {
      return { error: errorOf(this.#error, this.#now()), usage };
    }
    if (this.#reason === "stop") {
      return this.#text === undefined
        ? { error: emptyEnd(RULES.name), usage }
        : { result: this.#text, usage };
    }
    if (this.#denied !== undefined && ended.code === 0 && !ended.signal) {
      const message = `It may not do what it wanted to: ${this.#denied}`;
      return { error: { kind: "permanent", message }, usage };
    }
    return { error: errorOfEnd(ended, RULES), usage };
  }

  #tool({ tool, state }: JsonObject): AgentSign[] {
    const { status, input, title, error } = objectOf(state);
    const wanted = objectOf(input);
    if (tool === "invalid" && IS_UNAVAILABLE.test(textOf(wanted.error) ?? "")) {
      return [{ kind: "denied", detail: nameOf(wanted.tool) }];
    }
    const target = targetOf(input) ?? textOf(title);
    const signs: AgentSign[] = [{
      kind: "tool",
      name: nameOf(tool),
      ...target && { target: oneLine(target) },
    }];
    if (status !== "error") return signs;
    const message = textOf(error) ?? "It failed";
    if (!IS_DENIED.test(message)) {
      return [...signs, { kind: "tool failed", message: oneLine(message) }];
    }
    this.#denied = callOf(tool, input);
    return [...signs, { kind: "denied", detail: this.#denied }];
  }

  #finished({ reason, tokens, cost }: JsonObject): AgentSign[] {
    this.#reason = textOf(reason);
    const { input, output, reasoning, cache } = objectOf(tokens);
    const { read, write } = objectOf(cache);
    const usage = usageOf({
      input: sumOf(input, write),
      output: sumOf(output, reasoning),
      cached: numberOf(read),
      costUsd: numberOf(cost),
    });
    if (!usage) return [];
    this.#usage = addUsage(this.#usage, usage);
    return this.#usage ? [{ kind: "usage", usage: this.#usage }] : [];
  }
}

/** What a tool's error begins with where a rule, or nobody, let it be used. */
const IS_DENIED =
  /^The user (?:rejected permission|has specified a rule which prevents)/;

/** What it answers where a tool is wanted that a rule took from it. */
const IS_UNAVAILABLE = /^Model tried to call unavailable tool /;
