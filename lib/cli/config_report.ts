/**
 * What `agent-runner config check` says: what would run, what is in force, and
 * what that was given by.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { shownDatabase } from "../base/database_address.ts";
import { countOf } from "../base/figures.ts";
import { printable } from "../base/log.ts";
import {
  keyOf,
  type Setting,
  type SettingName,
  SETTINGS,
  UNITS,
} from "../config/settings.ts";
import type { ProgramVersion } from "../processors/processor.ts";
import type { JsonObject, JsonValue } from "../task/task.ts";
import { factLines } from "./render.ts";

/** What would run for a provider. */
export interface ProviderReport {
  /** `*` for all that are not named. */
  readonly provider: string;
  readonly processor: string;
  /** What it would do for a task; empty where the processor does not say. */
  readonly does: string;
  /** Of the program that it runs; undefined where none is asked. */
  readonly version: ProgramVersion | undefined;
  /** What is wrong, a sentence each. */
  readonly problems: readonly string[];
  /** What keeps some of its tasks waiting, or is hardly meant. */
  readonly warnings: readonly string[];
}

/** What is known of a webhook. */
export interface WebhookReport {
  /** Without what may be secret. */
  readonly url: string;
  readonly on: readonly string[];
  readonly problems: readonly string[];
}

/** What is reported beside the settings. */
export interface Reports {
  /** What is wrong with the settings, a sentence each. */
  readonly settings: readonly string[];
  readonly providers: readonly ProviderReport[];
  readonly webhooks: readonly WebhookReport[];
}

/** `claude 2.1.197`, or `unknown: claude --version ended with exit code 3`. */
export function versionText(version: ProgramVersion): string {
  return "version" in version ? version.version : `unknown: ${version.unknown}`;
}

/** A value as the file would have it, and what it was given by. */
type InForce = { readonly value: JsonValue; readonly source: string };

/** Every setting by what it is called in the file, or its variable. */
const NAMES = (Object.entries(SETTINGS) as [SettingName, Setting][])
  .filter(([name]) => name !== "configPath")
  .map(([name, it]) => [keyOf(it) ?? it.env ?? name, name] as const);

function inForce(name: SettingName, config: Config): InForce {
  const { kind, isSecret }: Setting = SETTINGS[name];
  const value = config[name];
  return {
    value: isSecret && value
      ? "***"
      : name === "database"
      ? shownDatabase(String(value))
      : typeof value === "number"
      ? value / UNITS[kind as keyof typeof UNITS]
      : value instanceof Map
      ? Object.fromEntries(value)
      : value as JsonValue,
    source: config.sources.get(name) ?? "",
  };
}

/** Shown as they are given. */
const LIMIT_FIELDS = [
  "concurrencyKey",
  "keyConcurrency",
  "rate",
  "ratePer",
  "fairBy",
  "hours",
  "zone",
] as const;

/** A provider's own settings win over the general ones, but for its limit. */
function inForceFor(
  provider: string,
  config: Config,
): Record<string, InForce> {
  const settings = config.providers?.get(provider);
  const { timeoutMs, attempts, concurrency, globalConcurrency } = settings ??
    {};
  const { fallback, backoff } = settings ?? {};
  const source = config.configPath ?? "";
  const own = (name: SettingName, value: number | undefined): InForce =>
    value === undefined ? inForce(name, config) : { value, source };
  const limit = config.limits.get(provider);
  return {
    timeout: own("timeoutMs", timeoutMs && timeoutMs / 1_000),
    attempts: own("attempts", attempts),
    concurrency: limit === undefined
      ? own("concurrency", concurrency)
      : { ...inForce("limits", config), value: limit },
    ...globalConcurrency !== undefined && {
      globalConcurrency: { value: globalConcurrency, source },
    },
    ...Object.fromEntries(
      LIMIT_FIELDS.flatMap((field) => {
        const value = settings?.options[field];
        return value === undefined ? [] : [[field, { value, source }]];
      }),
    ),
    ...settings && "workspace" in settings.options &&
      workspaceIn(settings.options.workspace as JsonValue, source),
    ...fallback !== undefined && { fallback: { value: fallback, source } },
    ...backoff && {
      backoff: {
        value: { base: backoff.baseMs / 1_000, max: backoff.maxMs / 1_000 },
        source,
      },
    },
  };
}

const WORKSPACE_FIELDS = ["git", "mode", "folder", "base"] as const;

/** Of a repository, what is worked on and where, and what becomes of it. */
function workspaceIn(
  workspace: JsonValue | undefined,
  source: string,
): Record<string, InForce> {
  if (workspace === undefined || workspace === null) return {};
  if (typeof workspace !== "object" || Array.isArray(workspace)) {
    return { workspace: { value: workspace, source } };
  }
  const { onApproved = "none", ...fields } = workspace as JsonObject;
  const given = WORKSPACE_FIELDS.flatMap((name) => {
    const value = fields[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const value = { ...Object.fromEntries(given), onApproved };
  return { workspace: { value, source } };
}

/** For scripts. */
export function reportToJson(
  config: Config,
  { settings, providers, webhooks }: Reports,
): JsonObject {
  return {
    file: config.configPath ?? null,
    providers: Object.fromEntries(
      providers.map((
        { provider, processor, does, version, problems, warnings },
      ) => [provider, {
        processor,
        does,
        ...version && ("version" in version ? version : {
          versionUnknown: version.unknown,
        }),
        settings: inForceFor(provider, config),
        problems: [...problems],
        warnings: [...warnings],
      }]),
    ),
    webhooks: webhooks.map(({ url, on, problems }) => ({
      url,
      on: [...on],
      problems: [...problems],
    })),
    settings: Object.fromEntries(
      NAMES.flatMap(([key, name]) => {
        const { earlier }: Setting = SETTINGS[name];
        return [key, ...earlier ? [earlier.flag] : []]
          .map((key) => [key, inForce(name, config)]);
      }),
    ),
    problems: [...settings],
  };
}

/** For people. */
export function renderReport(
  config: Config,
  reports: Reports,
): string {
  const providers = reports.providers.map((
    { provider, processor, does, version, problems, warnings },
  ) =>
    section(provider === "*" ? "All other providers" : provider, [
      ["processor", processor],
      ...does === "" ? [] : [["does", does]],
      ...version ? [["version", versionText(version)]] : [],
      ...Object.entries(inForceFor(provider, config)).map(([name, it]) => [
        name,
        name === "timeout" && it.value === 0
          ? "no limit"
          : textOf(it.value, name === "timeout" ? " s" : ""),
        it.source,
      ]),
      ...problems.map((problem) => ["WRONG", problem]),
      ...warnings.map((warning) => ["WARNING", warning]),
    ])
  );
  const webhooks = reports.webhooks.map(({ url, on, problems }) =>
    section(`Webhook ${url}`, [
      ["on", on.join(", ")],
      ...problems.map((problem) => ["WRONG", problem]),
    ])
  );
  const settings = NAMES.map(([key, name]) => {
    const { kind }: Setting = SETTINGS[name];
    const unit = kind === "seconds" ? " s" : kind === "days" ? " days" : "";
    const { value, source } = inForce(name, config);
    return [key, textOf(value, unit), source];
  });
  return [
    headline(config),
    ...providers,
    ...webhooks,
    section("Settings", [
      ...settings,
      ...reports.settings.map((problem) => ["WRONG", problem]),
    ]),
    conclusion(config, reports),
  ].join("\n");
}

function headline({ configPath, providers, simulate }: Config): string {
  const file = configPath === undefined
    ? "There is no configuration file"
    : `Configuration file: ${printable(configPath)}`;
  if (!providers) {
    return simulate === "never" || configPath !== undefined
      ? `${file}\n`
      : `${file}. Every provider is simulated.\n`;
  }
  return providers.has("*")
    ? `${file}\n`
    : `${file}. Tasks of providers that it does not name are left alone.\n`;
}

/** All that is wrong. */
export function problemsIn(
  { settings, providers, webhooks }: Reports,
): readonly string[] {
  return [
    ...settings,
    ...[...providers, ...webhooks].flatMap(({ problems }) => problems),
  ];
}

function conclusion({ enabled }: Config, reports: Reports): string {
  const count = problemsIn(reports).length;
  const found = count === 0
    ? "Nothing wrong was found."
    : `${count} ${count === 1 ? "thing is" : "things are"} wrong.`;
  const warnings = reports.providers.flatMap((it) => it.warnings).length;
  const all = warnings === 0
    ? found
    : `${found} There ${warnings === 1 ? "is" : "are"} ${
      countOf(warnings, "warning")
    }.`;
  return enabled
    ? `${all}\n`
    : `${all} The runner is disabled: HANDSFREE_AGENT_RUNNER_ENABLED=true ` +
      "enables it.\n";
}

function section(title: string, rows: readonly string[][]): string {
  return [title, ...factLines(rows), ""].map(printable).join("\n");
}

function textOf(value: JsonValue, unit: string): string {
  if (value === "") return "none";
  if (typeof value !== "object" || value === null) return `${value}${unit}`;
  const pairs = Object.entries(value).map(([name, it]) => `${name}=${it}`);
  return pairs.length === 0 ? "none" : pairs.join(", ");
}
