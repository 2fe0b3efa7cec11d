/**
 * Reads the configuration file. Loaded only where there is one: the schema
 * library adds 40 ms to the program's start.
 *
 * @module
 */

import { dirname, isAbsolute, join } from "node:path";
import type { ConfigFile, Origin, ProviderConfigs } from "./config.ts";
import { describeIssues, expectation, nameOf } from "./mistakes.ts";
import {
  configFileSchema,
  FILE_SETTINGS,
  type ProviderConfig,
  type ProviderOptions,
  type WebhookOptions,
} from "./schema.ts";
import { decodeText } from "../base/cut.ts";
import { messageOf, UsageError } from "../base/errors.ts";
import { parseHours } from "../base/hours.ts";
import {
  isLimited,
  parseKey,
  parseRate,
  type TaskLimits,
} from "../task/limits.ts";
import { JsonSyntaxError, LocatedJson } from "./located_json.ts";
import { isPostgresAddress } from "../base/database_address.ts";
import { type Setting, type SettingName, SETTINGS } from "./settings.ts";
import type { Budget } from "../task/usage.ts";
import type { ScheduleOptions } from "../planning/config.ts";
import type { WebhookSettings } from "../webhooks/config.ts";

const MAX_BYTES = 1_000_000;
/** An agent's work fails of what passes: the network, a server with much to do. */
const AGENT_ATTEMPTS = 3;

/**
 * Reads and validates the file.
 *
 * @returns what it says, or every mistake in it.
 * @throws {UsageError} where it can't be read at all.
 */
export async function readConfigFile(path: string): Promise<ConfigFile> {
  const text = decodeText(await readBytes(path), path);
  const file = parseConfigFile(path, text);
  if (!file.schedules?.size) return file;
  const mistakes = await mistakesIn(file.schedules, new LocatedJson(text));
  if (mistakes.length === 0) return file;
  return wrong(path, mistakes.sort(byPlace));
}

/** What no schema can say of schedules: which of their times never come. */
async function mistakesIn(
  schedules: ReadonlyMap<string, ScheduleOptions>,
  json: LocatedJson,
): Promise<string[]> {
  const { definitionOf, FieldError } = await import("../planning/schedule.ts");
  return [...schedules].flatMap(([name, options]) => {
    try {
      definitionOf(options);
      return [];
    } catch (error) {
      const isField = error instanceof FieldError;
      const path = ["schedules", name, isField ? error.field : "task"];
      const place = json.placeOf(json.has(path) ? path : path.slice(0, 2));
      const found = !isField
        ? `: ${messageOf(error)}`
        : error.value === undefined
        ? ` is missing: expected ${error.expected}.`
        : ` is ${JSON.stringify(error.value)}: expected ${error.expected}.`;
      return [`${place}: ${nameOf(path)}${found}`];
    }
  });
}

function wrong(path: string, mistakes: readonly string[]): ConfigFile {
  return {
    path,
    settings: new Map(),
    mistakes: mistakes.map((it) => `${path}:${it}`),
  };
}

/**
 * As {@linkcode readConfigFile}, for a text that was read; when schedules are, is
 * not looked at.
 */
export function parseConfigFile(path: string, text: string): ConfigFile {
  let json: LocatedJson;
  try {
    json = new LocatedJson(text);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    return wrong(path, [`${error.place}: This is not JSON: ${error.message}.`]);
  }
  const result = configFileSchema.safeParse(json.value, { error: expectation });
  const mistakes = [
    ...json.wrongKeys().map(({ path, place, twin }) =>
      `${place}: ${nameOf(path)} ` +
      (twin
        ? `is there twice, first at ${twin}. Keep one.`
        : "can't be used as a name.")
    ),
    ...result.success ? [] : describeIssues(result.error.issues, json),
  ];
  if (!result.success || mistakes.length > 0) {
    // A number can be wrong in two ways that are told in the same words.
    return wrong(path, [...new Set(mistakes)].sort(byPlace));
  }
  const { settings = {}, providers, budget, webhooks, schedules } = result.data;
  return {
    path,
    settings: originsOf(settings, { path, json }),
    providers: providers && providersOf(providers),
    budget: budget && budgetOf(budget),
    webhooks: webhooks?.length ? webhooks.map(webhookOf) : undefined,
    schedules: schedules && new Map(Object.entries(schedules)),
    mistakes: [],
  };
}

function byPlace(a: string, b: string): number {
  const [lineA = 0, columnA = 0] = a.split(":").map(Number);
  const [lineB = 0, columnB = 0] = b.split(":").map(Number);
  return lineA - lineB || columnA - columnB;
}

/** Settings as text, as flags and variables are: so values have one meaning. */
function originsOf(
  settings: Readonly<Record<string, unknown>>,
  { path, json }: { path: string; json: LocatedJson },
): ReadonlyMap<SettingName, Origin> {
  const origins = new Map<SettingName, Origin>();
  for (const [key, name] of FILE_SETTINGS) {
    const setting: Setting = SETTINGS[name];
    const value = settings[key];
    if (value === undefined) continue;
    const source = `${path}:${json.placeOf(["settings", key])}`;
    const text = setting.isPath
      ? besideFile(path, String(value))
      : setting.kind === "counts"
      ? Object.entries(value as object).map((it) => it.join("=")).join(",")
      : typeof value === "number"
      ? String(Number(value.toFixed(6))) // Never as 1e-7.
      : String(value);
    origins.set(name, { text, source });
  }
  return origins;
}

/** Paths in the file are seen from its folder, wherever the program is started. */
function besideFile(path: string, value: string): string {
  const isPath = !isAbsolute(value) && !value.startsWith(":") &&
    !isPostgresAddress(value);
  return isPath ? join(dirname(path), value) : value;
}

function providersOf(
  providers: Readonly<Record<string, ProviderOptions>>,
): ProviderConfigs {
  return new Map(
    Object.entries(providers).map(([name, options]): [
      string,
      ProviderConfig,
    ] => {
      const { processor, timeout, attempts, backoff } = options;
      const { concurrency, globalConcurrency, fallback } = options;
      const { budget, prices, hours, zone } = options;
      return [name, {
        processor,
        ...timeout !== undefined && { timeoutMs: inMs(timeout) },
        ...attempts !== undefined
          ? { attempts }
          : processor === "agent" && { attempts: AGENT_ATTEMPTS },
        ...concurrency !== undefined && { concurrency },
        ...globalConcurrency !== undefined
          ? { globalConcurrency }
          : isInOnePlace(options) && { globalConcurrency: 1 },
        ...taskLimitsOf(options),
        ...hours !== undefined && { hours: parseHours(hours, zone) },
        ...fallback !== undefined && { fallback },
        ...processor === "agent" && { isAgent: true },
        ...budget && { budget: budgetOf(budget) },
        ...prices && { prices: new Map(Object.entries(prices)) },
        ...backoff && {
          backoff: { baseMs: inMs(backoff.base), maxMs: inMs(backoff.max) },
        },
        options,
      }];
    }),
  );
}

function taskLimitsOf(
  { concurrencyKey, keyConcurrency, rate, ratePer, fairBy }: ProviderOptions,
): { readonly taskLimits?: TaskLimits } {
  const key = parseKey(concurrencyKey ?? "");
  const parsed = parseRate(rate ?? "");
  const taskLimits = {
    ...key && { key },
    ...keyConcurrency !== undefined && { keyConcurrency },
    ...parsed && { rate: { ...parsed, ...ratePer && { per: ratePer } } },
    ...fairBy && { fairBy },
  };
  return isLimited(taskLimits) ? { taskLimits } : {};
}

/** Agents that work in one folder at once disturb each other. */
function isInOnePlace(options: ProviderOptions): boolean {
  return options.processor === "agent" && options.cwd !== undefined &&
    options.concurrency === undefined;
}

function budgetOf(
  { task, day, tokensPerDay }: {
    readonly task?: string | undefined;
    readonly day?: string | undefined;
    readonly tokensPerDay?: number | undefined;
  },
): Budget {
  const usd = (text: string) => Number(text.slice(1));
  return {
    ...task !== undefined && { taskUsd: usd(task) },
    ...day !== undefined && { dayUsd: usd(day) },
    ...tokensPerDay !== undefined && { tokensPerDay },
  };
}

function webhookOf(
  { timeout, ...rest }: WebhookOptions,
): WebhookSettings {
  return { ...rest, timeoutMs: inMs(timeout) };
}

function inMs(seconds: number): number {
  return Math.round(seconds * 1_000);
}

/** Bounded, since anything can be named: a disk, a pipe. */
async function readBytes(path: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(MAX_BYTES + 1);
  let length = 0;
  try {
    using file = await Deno.open(path);
    while (length < bytes.length) {
      const count = await file.read(bytes.subarray(length));
      if (count === null) break;
      length += count;
    }
  } catch (cause) {
    throw unreadable(path, reasonOf(cause), cause);
  }
  if (length > MAX_BYTES) throw unreadable(path, "it is larger than 1 MB");
  return bytes.subarray(0, length);
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  if (error instanceof Deno.errors.IsADirectory) return "it is a folder";
  if (error instanceof Deno.errors.PermissionDenied) {
    return "no permission to read it";
  }
  return messageOf(error);
}

function unreadable(path: string, reason: string, cause?: unknown): UsageError {
  return new UsageError(
    `Cannot read the configuration file ${path}: ${reason}. ` +
      "Give another one with --config or HANDSFREE_AGENT_RUNNER_CONFIG.",
    { cause },
  );
}
