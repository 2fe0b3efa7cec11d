/**
 * What can be typed: the commands' flags and how they are read, and what `--help`
 * says of them.
 *
 * @module
 */

import type { ParseOptions } from "@std/cli/parse-args";
import { closestString } from "@std/text/closest-string";
import manifest from "../../deno.json" with { type: "json" };
import { UsageError } from "../base/errors.ts";
import type { FlagValues } from "../config/config.ts";
import { type Setting, SETTINGS } from "../config/settings.ts";
import { type Command, flagsOf, settingsOf } from "./command.ts";
import { COMMANDS } from "./commands.ts";

/** What the user asked for. */
export interface Request {
  readonly command: Command;
  readonly args: readonly string[];
  readonly flags: FlagValues;
  /** Those of the flags that are settings. */
  readonly settings: FlagValues;
  /** What is printed in place of running: help, or the version. */
  readonly text?: string;
}

/** What was parsed: the words in `_`, and each flag's value. */
export type Parsed = FlagValues & { readonly _: readonly (string | number)[] };

/**
 * How `parseArgs` is to read the words after the program's name: with the flags
 * of all commands, since any word may be the command. In no two commands has a
 * flag a value in one and none in the other.
 */
export function parseOptions(onUnknown: (flag: string) => void): ParseOptions {
  const flags = COMMANDS.flatMap(flagsOf);
  const switches = flags.filter((it) => !it.placeholder).map((it) => it.name);
  return {
    alias: { help: "h", version: "V" },
    boolean: switches,
    // Not false, which is what `--exclusive=false` says.
    default: Object.fromEntries(switches.map((name) => [name, null])),
    // Without "_", an argument like 1e3 would be read as a number.
    string: [
      "_",
      ...flags.filter((it) => it.placeholder).map((it) => it.name),
    ],
    collect: flags.filter((it) => it.isRepeated).map((it) => it.name),
    unknown: (flag, key) => {
      if (key !== undefined) onUnknown(flag.split("=")[0] ?? flag);
    },
  };
}

/**
 * `--file -` as `--file=-`, `--priority -5` as `--priority=-5`: `parseArgs` takes
 * no word with a dash for a value.
 */
export function joinDashedValues(argv: readonly string[]): string[] {
  const flags = COMMANDS.flatMap(flagsOf);
  const words: string[] = [];
  const end = argv.indexOf("--");
  for (const [index, word] of argv.entries()) {
    const flag = flags.find((it) => words.at(-1) === `--${it.name}`);
    const isRest = end >= 0 && index >= end;
    if (!isRest && flag?.placeholder && /^-(\d.*)?$/.test(word)) {
      words.push(`${words.pop()}=${word}`);
    } else words.push(word);
  }
  return words;
}

/**
 * Finds out what the user asked for.
 *
 * @param unknown the flags that no command has
 * @throws {UsageError} that names the unknown flag or command and the nearest
 * one that there is.
 */
export function requestOf(
  { _: parsed, ...given }: Parsed,
  unknown: readonly string[],
): Request {
  const flags = withLists(given);
  const words = parsed.map(String);
  const help = words[0] === "help" || flags.help === true;
  while (words[0] === "help") words.shift();
  const name = nameIn(words);
  if (flags.version || name === "version") {
    const text = `agent-runner ${manifest.version}\n`;
    return { command: COMMANDS[0], args: [], flags, settings: {}, text };
  }
  const command = name === undefined ? COMMANDS[0] : commandOf(name);
  const args = words.slice(name?.split(" ").length ?? 0);
  assertKnown(flags, unknown, command);
  if (!help) assertRightArgs(args, command);
  const settings = Object.fromEntries(
    settingsOf(command)
      .flatMap(({ flag = "", earlier }) =>
        earlier ? [flag, earlier.flag] : flag
      )
      .map((flag) => [flag, flags[flag]]),
  );
  return {
    command,
    args,
    flags: { ...flags, help },
    settings,
    ...help && {
      text: name === undefined ? programHelp() : commandHelp(command),
    },
  };
}

/** What may be given more than once, as one text with commas. */
function withLists(flags: Omit<Parsed, "_">): Omit<Parsed, "_"> {
  return Object.fromEntries(
    Object.entries(flags).flatMap(([name, value]) => {
      if (!Array.isArray(value)) return [[name, value]];
      return value.length > 0 ? [[name, value.join(",")]] : [];
    }),
  );
}

/** The command's name: the first word, or two where there are such commands. */
function nameIn([first, second]: readonly string[]): string | undefined {
  const isPair = COMMANDS.some(({ name }) => name.startsWith(`${first} `));
  return isPair && second !== undefined ? `${first} ${second}` : first;
}

function commandOf(name: string): Command {
  const command = COMMANDS.find((it) => it.name === name);
  if (command) return command;
  const names = shown().map((it) => it.name);
  const pairs = names.filter((it) => it.startsWith(`${name.split(" ")[0]} `));
  throw new UsageError(
    `Unknown command "${name}". Did you mean "${
      closestString(name, pairs.length > 0 ? pairs : names)
    }"? Commands: ${names.join(", ")}.`,
  );
}

function shown(): readonly Command[] {
  return COMMANDS.filter(({ isHidden }) => !isHidden);
}

function assertKnown(
  given: FlagValues,
  unknown: readonly string[],
  command: Command,
): void {
  const flags = flagsOf(command);
  const own = new Set(flags.map(({ name }) => name));
  const others = COMMANDS.flatMap(flagsOf).filter(({ name }) =>
    !own.has(name) && (given[name] ?? undefined) !== undefined
  );
  const [wrong] = [...unknown, ...others.map(({ name }) => `--${name}`)];
  if (wrong === "--server") throw notThroughService(command);
  if (wrong !== undefined) {
    const owner = COMMANDS.find((it) =>
      flagsOf(it).some(({ name }) => `--${name}` === wrong)
    );
    throw new UsageError(
      `Unknown flag ${wrong} for "${command.name}". ` +
        (owner
          ? `It belongs to "${owner.name}".`
          : `Did you mean ${
            closestString(wrong, [...own].map((name) => `--${name}`))
          }?`),
    );
  }
  for (const { name, placeholder } of flags) {
    if (placeholder && given[name] === "") {
      throw new UsageError(`The flag --${name} needs a value: ${placeholder}.`);
    }
  }
}

function notThroughService({ name }: Command): UsageError {
  const others = COMMANDS.filter((it) => it.settings?.includes("server"))
    .map((it) => it.name);
  return new UsageError(
    `Cannot use --server with "${name}": it works where the database file is. ` +
      `Commands that take it: ${others.join(", ")}.`,
  );
}

function assertRightArgs(
  args: readonly string[],
  { name, maxArgs = 0 }: Command,
): void {
  if (args.length <= maxArgs) return;
  throw new UsageError(
    `Unexpected argument "${args[maxArgs]}" for "${name}". ` +
      (maxArgs === 0
        ? "It takes only flags."
        : `It takes ${maxArgs === 1 ? "one" : maxArgs}; ` +
          "put quotes around a text with blanks."),
  );
}

/** The help for the program. */
export function programHelp(): string {
  const families = new Map(
    shown().flatMap(({ name, family }) =>
      family === undefined ? [] : [[name.split(" ")[0], family]]
    ),
  );
  const commands = shown().flatMap(({ name, args = "", summary, family }) => {
    const [word] = name.split(" ");
    if (!families.has(word)) return [[`${name} ${args}`.trim(), summary]];
    return family === undefined ? [] : [[`${word} …`, family]];
  }) as [string, string][];
  return `agent-runner ${manifest.version}: runs agent tasks that wait in a database.

Usage: agent-runner [COMMAND] [FLAGS]

Commands:
${columns(commands)}

Tasks run only where HANDSFREE_AGENT_RUNNER_ENABLED is true; without a COMMAND, run --once does.
Flags and environment variables of a command: agent-runner COMMAND --help
`;
}

/** The help for one command. */
export function commandHelp(command: Command): string {
  const flags = flagsOf(command).filter(({ isEarlier }) => !isEarlier)
    .map(({ name, placeholder, summary }) =>
      [`--${name}${placeholder ? ` ${placeholder}` : ""}`, summary] as const
    );
  const examples = command.examples.map((it) => `  agent-runner ${it}`);
  const { name, args = "", summary } = command;
  return `${summary}.

Usage: agent-runner ${`${name} ${args}`.trim()} [FLAGS]

Flags:
${columns(flags)}

${environmentHelp(command)}Examples:
${examples.join("\n")}
`;
}

/** Settings that have no flag are for the runner. */
function environmentHelp({ name }: Command): string {
  if (name !== "run" && name !== "run-task") return "";
  // Deno's own variables are for its documentation, and a secret for a file.
  const settings = Object.values<Setting>(SETTINGS).filter((it) =>
    !it.flag && !it.isSecret && it.env?.startsWith("HANDSFREE_")
  );
  const rows = settings.map(({ env = "", kind, summary, default: value }) => {
    const unit = kind === "seconds" || kind === "days" ? ` ${kind}` : "";
    const text = value === ""
      ? summary
      : `${summary} (default ${value}${unit})`;
    return [env, text] as const;
  });
  return `Environment:\n${columns(rows)}\n\n`;
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`)
    .join("\n");
}
