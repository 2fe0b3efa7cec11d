/**
 * Turns flags, environment, configuration file and defaults into one frozen
 * {@linkcode Config}; the one named first wins.
 *
 * @module
 */

import type { ProviderConfig } from "./schema.ts";
import { isPostgresAddress, withSchema } from "../base/database_address.ts";
import { UsageError } from "../base/errors.ts";
import { parseHosts, parseListenAddress } from "./listen_address.ts";
import {
  expectedOf,
  readNumber,
  type Setting,
  type SettingName,
  SETTINGS,
  type UNITS,
} from "./settings.ts";
import type { Budget } from "../task/usage.ts";
import type { ScheduleOptions } from "../planning/config.ts";
import type { WebhookSettings } from "../webhooks/config.ts";

/** What the configuration file says of each provider; `*` is all others. */
export type ProviderConfigs = ReadonlyMap<string, ProviderConfig>;

/** What the code has of a setting's value. */
type ValueOf<S extends Setting> = S["kind"] extends "boolean" ? boolean
  : S["kind"] extends keyof typeof UNITS ? number
  : S["kind"] extends "counts" ? ReadonlyMap<string, number>
  : S extends { readonly choices: readonly (infer Choice)[] } ? Choice
  : string;

/** The value of every setting. Durations are in milliseconds. */
type Values = {
  readonly [name in Exclude<SettingName, "configPath">]: ValueOf<
    typeof SETTINGS[name]
  >;
};

/** Everything that can be configured. */
export interface Config extends Values {
  /** The configuration file that was read; undefined where there is none. */
  readonly configPath: string | undefined;
  /** Undefined where no file names any; without a file, all are simulated then. */
  readonly providers?: ProviderConfigs;
  /** Of all providers together. */
  readonly budget?: Budget;
  /** Undefined where there are none. */
  readonly webhooks?: readonly WebhookSettings[];
  /** By their names; undefined where the file says nothing of schedules. */
  readonly schedules?: ReadonlyMap<string, ScheduleOptions>;
  /** What each setting was given by, for people. */
  readonly sources: ReadonlyMap<SettingName, string>;
}

/** The text of a setting's value and where it comes from, for people. */
export interface Origin {
  readonly text: string;
  /** `--interval`, a variable's name, `agent-runner.json:4:17`, or `default`. */
  readonly source: string;
}

/** A configuration file as it was read. */
export interface ConfigFile {
  readonly path: string;
  readonly settings: ReadonlyMap<SettingName, Origin>;
  readonly providers?: ProviderConfigs;
  readonly budget?: Budget;
  readonly webhooks?: readonly WebhookSettings[];
  readonly schedules?: ReadonlyMap<string, ScheduleOptions>;
  /** What is wrong in it, a line each; then the rest is empty. */
  readonly mistakes: readonly string[];
}

/** Flags as parsed: their text, or whether they were given. */
export type FlagValues = Readonly<Record<string, unknown>>;

/** Looks up an environment variable. */
export type Environment = (name: string) => string | undefined;

/**
 * The path of the configuration file: the one that was asked for, be it there or
 * not, or the default one where it exists.
 */
export function findConfigFile(
  flags: FlagValues,
  env: Environment,
): string | undefined {
  const { text, source } = originOf("configPath", { flags, env });
  return source !== DEFAULT || exists(text) ? text : undefined;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    // Anything else is said by who reads it.
    return !(error instanceof Deno.errors.NotFound);
  }
}

/**
 * Builds the configuration.
 *
 * @throws {UsageError} that lists every mistake, not only the first.
 */
export function loadConfig(
  flags: FlagValues,
  env: Environment,
  file?: ConfigFile,
): Config {
  const mistakes = [...file?.mistakes ?? []];
  const values: Record<string, unknown> = {};
  const sources = new Map<SettingName, string>();
  for (const name of Object.keys(SETTINGS) as SettingName[]) {
    const { text, source } = originOf(name, { flags, env, file });
    const value = readValue(SETTINGS[name], text);
    if (value === undefined) {
      const expected = expectedOf(SETTINGS[name], text);
      mistakes.push(`${source} is "${text}": expected ${expected}.`);
    }
    values[name] = value;
    sources.set(name, source);
  }
  const { database, dbSchema } = values as Pick<
    Config,
    "database" | "dbSchema"
  >;
  if (mistakes.length > 0) throw new UsageError(mistakes.join("\n"));
  const config = {
    ...values,
    database: dbSchema && isPostgresAddress(database)
      ? withSchema(database, dbSchema)
      : database,
    sources,
    configPath: file?.path,
    ...file?.providers && { providers: file.providers },
    ...file?.budget && { budget: file.budget },
    ...file?.webhooks && { webhooks: file.webhooks },
    ...file?.schedules && { schedules: file.schedules },
  };
  return Object.freeze(config) as unknown as Config;
}

const DEFAULT = "default";

interface Sources {
  readonly flags: FlagValues;
  readonly env: Environment;
  readonly file?: ConfigFile;
}

function originOf(name: SettingName, { flags, env, file }: Sources): Origin {
  const setting: Setting = SETTINGS[name];
  const names = [setting, ...setting.earlier ? [setting.earlier] : []];
  for (const { flag } of names) {
    const given = flag === undefined ? undefined : flags[flag];
    if (given === undefined || given === null) continue;
    return { text: String(given), source: `--${flag}` };
  }
  for (const { env: variable } of names) {
    const text = variable === undefined ? undefined : env(variable);
    // An empty variable is how shells and unit files say "not set".
    if (text) return { text, source: variable ?? "" };
  }
  return file?.settings.get(name) ??
    { text: setting.default, source: DEFAULT };
}

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ["true", true],
  ["yes", true],
  ["1", true],
  ["false", false],
  ["no", false],
  ["0", false],
]);

/** The value that a text stands for; undefined where it stands for none. */
function readValue(setting: Setting, text: string): unknown {
  switch (setting.kind) {
    case "text":
      return text === "" && setting.default !== "" ? undefined : text;
    case "address":
      return text === "" || parseListenAddress(text) ? text : undefined;
    case "hosts":
      return parseHosts(text) && text;
    case "boolean":
      return BOOLEANS.get(text.trim().toLowerCase());
    case "choice":
      return setting.choices?.find((choice) =>
        choice.toLowerCase() === text.trim().toLowerCase()
      );
    case "counts":
      return readCounts(text);
    default:
      return readNumber(setting, text);
  }
}

function readCounts(text: string): ReadonlyMap<string, number> | undefined {
  const counts = new Map<string, number>();
  for (const pair of text.split(",").filter((it) => it.trim() !== "")) {
    const [, name, count] = /^\s*([^\s=]+)\s*=\s*([1-9]\d*)\s*$/.exec(pair) ??
      [];
    if (!name) return undefined;
    counts.set(name, Number(count));
  }
  return counts;
}
