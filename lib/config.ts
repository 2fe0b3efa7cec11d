/**
 * Turns flags, environment and defaults into one frozen {@linkcode Config}.
 * A flag wins over the environment, the environment over the default.
 *
 * @module
 */

import { UsageError } from "./errors.ts";
import { type Setting, type SettingName, SETTINGS } from "./settings.ts";

/** Everything that can be configured. Durations are in milliseconds. */
export interface Config {
  readonly enabled: boolean;
  readonly dbPath: string;
  readonly dbWaitMs: number;
  readonly exclusive: boolean;
  readonly intervalMs: number;
  readonly concurrency: number;
  readonly completionDelayMs: number;
  readonly simulateFailure: boolean;
  readonly leaseMs: number;
  readonly maxAttempts: number;
  readonly drainMs: number;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
}

export type LogLevel = "DEBUG" | "INFO" | "WARNING" | "ERROR";
export type LogFormat = "text" | "json";

/** Flags as parsed: their text, or whether they were given. */
export type FlagValues = Readonly<Record<string, unknown>>;

/** Looks up an environment variable. */
export type Environment = (name: string) => string | undefined;

/**
 * Builds the configuration.
 *
 * @throws {UsageError} that lists every mistake, not only the first.
 */
export function loadConfig(flags: FlagValues, env: Environment): Config {
  const mistakes: string[] = [];
  const values: Record<string, unknown> = {};
  for (const name of Object.keys(SETTINGS) as SettingName[]) {
    const setting: Setting = SETTINGS[name];
    const { text, source } = textOf(setting, flags, env);
    const value = readValue(setting, text);
    if (value instanceof Mistake) {
      mistakes.push(`${source} is "${text}": ${value.expected}.`);
    } else values[name] = value;
  }
  if (mistakes.length > 0) throw new UsageError(mistakes.join("\n"));
  return Object.freeze(values) as unknown as Config;
}

function textOf(
  setting: Setting,
  flags: FlagValues,
  env: Environment,
): { text: string; source: string } {
  const given = setting.flag === undefined ? undefined : flags[setting.flag];
  // A boolean flag that was not given is false, and does not say anything.
  if (given !== undefined && given !== false) {
    return { text: String(given), source: `--${setting.flag}` };
  }
  const variable = setting.env === undefined ? undefined : env(setting.env);
  // An empty variable is how shells and unit files say "not set".
  return variable
    ? { text: variable, source: setting.env ?? "" }
    : { text: setting.default, source: "default" };
}

/** What a setting's text should have been. */
class Mistake {
  constructor(readonly expected: string) {}
}

const BOOLEANS: Readonly<Record<string, boolean>> = {
  true: true,
  yes: true,
  "1": true,
  false: false,
  no: false,
  "0": false,
};
const MS_PER_UNIT = { seconds: 1_000, days: 86_400_000, count: 1 };

function readValue(setting: Setting, text: string): unknown {
  switch (setting.kind) {
    case "text":
      return text === "" ? new Mistake("expected a value") : text;
    case "boolean":
      return BOOLEANS[text.trim().toLowerCase()] ??
        new Mistake("expected true or false");
    case "choice":
      return setting.choices?.find((choice) =>
        choice.toLowerCase() === text.trim().toLowerCase()
      ) ?? new Mistake(`expected one of ${setting.choices?.join(", ")}`);
    default:
      return readNumber(setting, text);
  }
}

function readNumber(setting: Setting, text: string): number | Mistake {
  const kind = setting.kind === "count" ? "count" : "seconds";
  const min = setting.min ?? 0;
  const number = /^\s*\d+(\.\d+)?\s*$/.test(text) ? Number(text) : NaN;
  const valid = number >= min && (kind !== "count" || Number.isInteger(number));
  if (valid && number * MS_PER_UNIT[kind] <= Number.MAX_SAFE_INTEGER) {
    return number * MS_PER_UNIT[kind];
  }
  const unit = kind === "count" ? "a whole number" : "a number of seconds";
  return new Mistake(`expected ${unit}, ${min} or more`);
}
