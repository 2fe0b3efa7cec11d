/**
 * Turns flags, environment and defaults into one frozen {@linkcode Config}.
 * A flag wins over the environment, the environment over the default.
 *
 * @module
 */

import { UsageError } from "./errors.ts";
import type { LogFormat, LogLevel } from "./log.ts";
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
  readonly attempts: number;
  readonly timeoutMs: number;
  readonly limits: ReadonlyMap<string, number>;
  readonly eventRetentionMs: number;
  readonly drainMs: number;
  /** Empty: no HTTP API. */
  readonly listen: string;
  /** Separated by commas. */
  readonly allowedHosts: string;
  readonly token: string;
  readonly tokenFile: string;
  readonly telemetry: boolean;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
}

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
  if (given !== undefined && given !== null) {
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

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ["true", true],
  ["yes", true],
  ["1", true],
  ["false", false],
  ["no", false],
  ["0", false],
]);
const UNITS = {
  seconds: { ms: 1_000, name: "a number of seconds" },
  days: { ms: 86_400_000, name: "a number of days" },
  count: { ms: 1, name: "a whole number" },
};

function readValue(setting: Setting, text: string): unknown {
  switch (setting.kind) {
    case "text":
      return text === "" && setting.default !== ""
        ? new Mistake("expected a value")
        : text;
    case "boolean":
      return BOOLEANS.get(text.trim().toLowerCase()) ??
        new Mistake("expected true or false");
    case "choice":
      return setting.choices?.find((choice) =>
        choice.toLowerCase() === text.trim().toLowerCase()
      ) ?? new Mistake(`expected one of ${setting.choices?.join(", ")}`);
    case "counts":
      return readCounts(text);
    default:
      return readNumber(setting.kind, setting.min ?? 0, text);
  }
}

function readCounts(text: string): ReadonlyMap<string, number> | Mistake {
  const counts = new Map<string, number>();
  for (const pair of text.split(",").filter((it) => it.trim() !== "")) {
    const [, name, count] = /^\s*([^\s=]+)\s*=\s*([1-9]\d*)\s*$/.exec(pair) ??
      [];
    if (!name) return new Mistake("expected pairs like claude=2,http=5");
    counts.set(name, Number(count));
  }
  return counts;
}

function readNumber(
  kind: keyof typeof UNITS,
  min: number,
  text: string,
): number | Mistake {
  const { ms, name } = UNITS[kind];
  const number = /^\s*(\d+(\.\d+)?|\.\d+)\s*$/.test(text) ? Number(text) : NaN;
  const isWhole = kind !== "count" || Number.isInteger(number);
  if (number >= min && isWhole && number * ms <= Number.MAX_SAFE_INTEGER) {
    return Math.round(number * ms);
  }
  return new Mistake(`expected ${name}, ${min} or more`);
}
