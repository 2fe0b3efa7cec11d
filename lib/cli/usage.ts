/**
 * The commands with their flags: how they are parsed, and what `--help` says.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { closestString } from "@std/text/closest-string";
import { COMMANDS } from "./commands.ts";
import {
  type Command,
  COMMON_SETTINGS,
  type Flag,
} from "./command_table/command.ts";
import type { FlagValues } from "../config/config.ts";
import { UsageError } from "../base/errors.ts";
import {
  type Setting,
  type SettingName,
  SETTINGS,
} from "../config/settings.ts";

/** What the user asked for. */
export interface Request {
  readonly command: Command;
  readonly args: readonly string[];
  readonly flags: FlagValues;
  /** Those of the flags that are settings. */
  readonly settings: FlagValues;
}

function settingsOf(command: Command): readonly SettingName[] {
  return [...command.settings, ...COMMON_SETTINGS];
}

/** Every flag of a command, those of settings included. */
export function flagsOf(command: Command): readonly Flag[] {
  return [
    ...command.flags,
    ...settingsOf(command).map((name): Flag => {
      const setting: Setting = SETTINGS[name];
      const isSet = setting.kind === "boolean";
      return {
        name: setting.flag ?? name,
        placeholder: isSet ? undefined : setting.placeholder,
        summary: isSet || setting.default === ""
          ? setting.summary
          : `${setting.summary} (default ${setting.default})`,
        ...setting.choices && { choices: setting.choices },
      };
    }),
    { name: "help", summary: "Show this help (-h)" },
    { name: "version", summary: "Show the version (-V)" },
  ];
}

/**
 * Finds out what the user asked for.
 *
 * @throws {UsageError} that names the unknown flag or command and the nearest
 * one that there is.
 */
export function parseRequest(argv: readonly string[]): Request {
  // Once with the flags of all commands, to find which word is the command.
  const words = parse(argv, COMMANDS.flatMap(flagsOf))._.map(String);
  const name = nameIn(words);
  if (name === "version") return parseRequest(["--version"]);
  const command = name === undefined || name === "help"
    ? COMMANDS[0]
    : COMMANDS.find((it) => it.name === name);
  if (!command) {
    const names = COMMANDS.map((it) => it.name);
    const pairs = names.filter((it) => it.startsWith(`${words[0]} `));
    throw new UsageError(
      `Unknown command "${name}". Did you mean "${
        closestString(name ?? "", pairs.length > 0 ? pairs : names)
      }"? Commands: ${names.join(", ")}.`,
    );
  }
  if (name === "help") return helpRequest(words.slice(1));
  const flags = flagsOf(command);
  const { _: all, ...rest } = parse(argv, flags, (flag) => {
    if (flag === "--server") throw notThroughService(command);
    const names = flags.map((it) => `--${it.name}`);
    const owner = COMMANDS.find((it) =>
      flagsOf(it).some(({ name }) => `--${name}` === flag)
    );
    throw new UsageError(
      `Unknown flag ${flag} for "${command.name}". ` +
        (owner
          ? `It belongs to "${owner.name}".`
          : `Did you mean ${closestString(flag, names)}?`),
    );
  });
  const values: FlagValues = rest;
  for (const { name, placeholder } of flags) {
    if (placeholder && values[name] === "") {
      throw new UsageError(`The flag --${name} needs a value: ${placeholder}.`);
    }
  }
  const nameLength = name?.split(" ").length ?? 0;
  const args = all.slice(nameLength).map(String);
  if (args.length > command.maxArgs && !values.help) {
    throw new UsageError(
      `Unexpected argument "${args[command.maxArgs]}" for "${command.name}". ` +
        (command.maxArgs === 0
          ? "It takes only flags."
          : `It takes ${command.maxArgs === 1 ? "one" : command.maxArgs}; ` +
            "put quotes around a text with blanks."),
    );
  }
  const settings = Object.fromEntries(
    settingsOf(command).map((name) => {
      const { flag = name }: Setting = SETTINGS[name];
      return [flag, values[flag]];
    }),
  );
  return { command, args, flags: values, settings };
}

function notThroughService({ name }: Command): UsageError {
  const others = COMMANDS.filter(({ settings }) => settings.includes("server"))
    .map((it) => it.name);
  return new UsageError(
    `Cannot use --server with "${name}": it works where the database file is. ` +
      `Commands that take it: ${others.join(", ")}.`,
  );
}

/** The command's name: the first word, or two where there are such commands. */
function nameIn([first, second]: readonly string[]): string | undefined {
  const isPair = COMMANDS.some(({ name }) => name.startsWith(`${first} `));
  return isPair && second !== undefined ? `${first} ${second}` : first;
}

function helpRequest(words: readonly string[]): Request {
  if (words.length === 0) {
    const flags = { help: true };
    return { command: COMMANDS[0], args: [], flags, settings: {} };
  }
  return parseRequest([...words, "--help"]);
}

function parse(
  argv: readonly string[],
  flags: readonly Flag[],
  onUnknown?: (flag: string) => void,
) {
  const switches = flags.filter((it) => !it.placeholder).map((it) => it.name);
  return parseArgs(joinDashedValues(argv, flags), {
    alias: { help: "h", version: "V" },
    boolean: switches,
    // Not false, which is what `--exclusive=false` says.
    default: Object.fromEntries(switches.map((name) => [name, null])),
    // Without "_", an argument like 1e3 would be read as a number.
    string: [
      "_",
      ...flags.filter((it) => it.placeholder).map((it) => it.name),
    ],
    unknown: (flag: string, key?: string) => {
      if (key !== undefined) onUnknown?.(flag.split("=")[0] ?? flag);
      return true;
    },
  });
}

/**
 * `--file -` as `--file=-`, `--priority -5` as `--priority=-5`: `parseArgs` takes
 * no word with a dash for a value.
 */
function joinDashedValues(
  argv: readonly string[],
  flags: readonly Flag[],
): string[] {
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

/** The help for the program. */
export function programHelp(version: string): string {
  const commands = COMMANDS.map(({ name, args, summary }) =>
    [`${name} ${args}`.trim(), summary] as const
  );
  return `agent-runner ${version}: runs agent tasks that wait in a DuckDB file.

Usage: agent-runner [COMMAND] [FLAGS]

Commands:
${columns(commands)}

"agent-runner" alone is "agent-runner run --once". Tasks run only where
HANDSFREE_AGENT_RUNNER_ENABLED is true. Flags and
environment variables of a command: agent-runner COMMAND --help
`;
}

/** The help for one command. */
export function commandHelp(command: Command): string {
  const flags = flagsOf(command).map(({ name, placeholder, summary }) =>
    [`--${name}${placeholder ? ` ${placeholder}` : ""}`, summary] as const
  );
  const examples = command.examples.map((it) => `  agent-runner ${it}`);
  return `${command.summary}.

Usage: agent-runner ${command.name} ${command.args} [FLAGS]

Flags:
${columns(flags)}

${environmentHelp(command)}Examples:
${examples.join("\n")}
`.replaceAll(/ +\[FLAGS\]/g, " [FLAGS]");
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
    return [env, `${summary} (default ${value}${unit})`] as const;
  });
  return `Environment:\n${columns(rows)}\n\n`;
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`)
    .join("\n");
}
