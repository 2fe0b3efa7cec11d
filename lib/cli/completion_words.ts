/**
 * What a shell can complete: the table of commands as shells need it.
 *
 * @module
 */

import { COMMANDS } from "./commands.ts";
import type { Flag } from "./command_table/command.ts";
import { flagsOf } from "./usage.ts";

/** What follows a word. */
export type Value =
  | { readonly kind: "nothing" }
  | { readonly kind: "files" }
  /** Anything, which no shell can know. */
  | { readonly kind: "text" }
  | {
    readonly kind: "words";
    readonly words: readonly string[];
    /** Several, with commas. */
    readonly isList?: boolean;
  };

/** A flag with its dashes. */
export interface FlagWord {
  readonly word: string;
  readonly summary: string;
  readonly value: Value;
}

/** A command; one of two words is two of these. */
export interface CommandWord {
  readonly word: string;
  readonly summary: string;
  readonly flags: readonly FlagWord[];
  readonly args: Value;
}

/** Every command by its first word. The first runs where none is named. */
export function commandWords(): CommandWord[] {
  const byWord = Map.groupBy(COMMANDS, ({ name }) => name.split(" ")[0] ?? "");
  return [...byWord].map(([word, commands]) => {
    const seconds = commands.flatMap(({ name }) => name.split(" ").slice(1));
    const flags = new Map(
      commands.flatMap(flagsOf).map((flag) => [flag.name, flag]),
    );
    return {
      word,
      summary: commands.map(({ summary }) => summary).join("; "),
      flags: [...flags.values()].map(flagWord),
      args: seconds.length > 0
        ? { kind: "words", words: seconds }
        : argsOf(commands[0]?.args ?? ""),
    };
  });
}

function flagWord(
  { name, summary, placeholder, choices, isList }: Flag,
): FlagWord {
  const value: Value = placeholder === undefined
    ? { kind: "nothing" }
    : choices
    ? { kind: "words", words: choices, isList }
    : placeholder === "PATH"
    ? { kind: "files" }
    : { kind: "text" };
  return { word: `--${name}`, summary, value };
}

/** `bash | zsh | fish` are words, `[FILE | -]` is a file. */
function argsOf(args: string): Value {
  const words = args.split(" | ");
  if (words.every((word) => /^[a-z]+$/.test(word))) {
    return { kind: "words", words };
  }
  return args.includes("FILE") ? { kind: "files" } : { kind: "nothing" };
}
