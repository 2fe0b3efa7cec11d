/**
 * The one table of settings. Configuration, `--help` and docs/settings.md are
 * made from it.
 *
 * @module
 */

import { expectedDuration, parseDuration } from "../base/figures.ts";

/** What a value may be, and how its text is read. */
export type SettingKind =
  /** `true`, `false`, `1`, `0`, `yes`, `no`. */
  | "boolean"
  | "text"
  /** Where to listen, as {@linkcode parseListenAddress} reads it; or nothing. */
  | "address"
  /** Names of hosts, separated by commas; or nothing. */
  | "hosts"
  /** One of `choices`, in any case. */
  | "choice"
  /** A duration, or a number of seconds; kept in milliseconds. */
  | "seconds"
  /** A duration, or a number of days; kept in milliseconds. */
  | "days"
  /** An integer of at least `min`. */
  | "count"
  /** `name=count` pairs, separated by commas. */
  | "counts";

/** What a value may be. */
export interface ValueForm {
  readonly kind: SettingKind;
  readonly choices?: readonly string[];
  /** The smallest number, in the unit that the user types. @default {0} */
  readonly min?: number;
  /** The largest number. @default {what the code can hold} */
  readonly max?: number;
}

/** One setting: where it can be given and what it means. */
export interface Setting extends ValueForm {
  /** The long flag without its dashes, where there is one. */
  readonly flag?: string;
  /**
   * Its name in the configuration file, where it has no flag. Without either, it
   * can't be set there.
   */
  readonly key?: string;
  readonly env?: string;
  /** What it was called before, and still is: a flag, a key of the file, a variable. */
  readonly earlier?: { readonly flag: string; readonly env: string };
  /** Its value is shown to nobody. */
  readonly isSecret?: true;
  /** It is a path: seen from the configuration file's folder if given there. */
  readonly isPath?: true;
  /** As the user would type it. Empty: nothing, unless something is given. */
  readonly default: string;
  /** What `--help` prints for the value. */
  readonly placeholder?: string;
  readonly summary: string;
}

/** Every setting by the name that the code uses. */
export const SETTINGS = {
  configPath: {
    flag: "config",
    env: "HANDSFREE_AGENT_RUNNER_CONFIG",
    kind: "text",
    default: "agent-runner.json",
    placeholder: "PATH",
    summary: "The configuration file, if there is one",
  },
  enabled: {
    key: "enabled",
    env: "HANDSFREE_AGENT_RUNNER_ENABLED",
    kind: "boolean",
    default: "false",
    summary: "Must be true for tasks to be run",
  },
  database: {
    flag: "db",
    env: "HANDSFREE_DB",
    earlier: { flag: "db-path", env: "HANDSFREE_DB_PATH" },
    kind: "text",
    isPath: true,
    default: "handsfree.duckdb",
    placeholder: "PATH",
    summary: "The file or postgres:// address with the tasks",
  },
  dbSchema: {
    flag: "db-schema",
    env: "HANDSFREE_DB_SCHEMA",
    kind: "text",
    default: "",
    placeholder: "NAME",
    summary: "The schema of the tables on a server; else agent_runner",
  },
  server: {
    flag: "server",
    env: "HANDSFREE_AGENT_RUNNER_SERVER",
    kind: "text",
    default: "",
    placeholder: "URL",
    summary: "Work through the service there instead of on the file",
  },
  dbWaitMs: {
    flag: "db-wait",
    env: "HANDSFREE_AGENT_DB_WAIT",
    kind: "seconds",
    default: "10",
    placeholder: "DURATION",
    summary: "How long to wait for a file that is held, or a server",
  },
  exclusive: {
    flag: "exclusive",
    env: "HANDSFREE_AGENT_EXCLUSIVE",
    kind: "boolean",
    default: "false",
    summary: "Keep the file open for the whole run instead of sharing it",
  },
  intervalMs: {
    flag: "interval",
    env: "HANDSFREE_AGENT_INTERVAL",
    kind: "seconds",
    min: 0.01,
    default: "5",
    placeholder: "DURATION",
    summary: "Longest wait between two looks for changes in --loop",
  },
  concurrency: {
    flag: "concurrency",
    env: "HANDSFREE_AGENT_CONCURRENCY",
    kind: "count",
    min: 1,
    default: "10",
    placeholder: "N",
    summary: "Tasks that run at the same time",
  },
  retryWaitMs: {
    flag: "retry-wait",
    env: "HANDSFREE_AGENT_RETRY_WAIT",
    kind: "seconds",
    default: "60",
    placeholder: "DURATION",
    summary: "Longest wait of --once for the next try of a task that failed",
  },
  defaultProvider: {
    key: "default-provider",
    env: "HANDSFREE_AGENT_DEFAULT_PROVIDER",
    kind: "text",
    default: "",
    summary: "Provider of tasks that name none",
  },
  simulate: {
    key: "simulate",
    env: "HANDSFREE_AGENT_SIMULATE",
    kind: "choice",
    choices: ["unconfigured", "never"],
    default: "unconfigured",
    summary: "Whether tasks may be simulated",
  },
  completionDelayMs: {
    key: "completion-delay",
    env: "HANDSFREE_AGENT_TASK_COMPLETION_DELAY",
    kind: "seconds",
    default: "0.5",
    placeholder: "DURATION",
    summary: "How long a simulated task takes",
  },
  simulateFailure: {
    key: "simulate-failure",
    env: "HANDSFREE_AGENT_SIMULATE_FAILURE",
    kind: "boolean",
    default: "false",
    summary: "Simulated tasks fail",
  },
  leaseMs: {
    flag: "lease",
    env: "HANDSFREE_AGENT_LEASE",
    kind: "seconds",
    min: 0.5,
    default: "60",
    placeholder: "DURATION",
    summary: "Time without a sign of life until tasks are taken over",
  },
  maxAttempts: {
    flag: "max-attempts",
    env: "HANDSFREE_AGENT_MAX_ATTEMPTS",
    kind: "count",
    min: 1,
    default: "3",
    placeholder: "N",
    summary: "Claims of a task whose runner dies, before it is failed",
  },
  attempts: {
    flag: "attempts",
    env: "HANDSFREE_AGENT_ATTEMPTS",
    kind: "count",
    min: 1,
    default: "1",
    placeholder: "N",
    summary: "Tries of a task that fails, where it says nothing of that",
  },
  timeoutMs: {
    flag: "timeout",
    env: "HANDSFREE_AGENT_TIMEOUT",
    kind: "seconds",
    default: "0",
    placeholder: "DURATION",
    summary: "Longest run of a task that sets no --timeout; 0: no limit",
  },
  limits: {
    flag: "limits",
    env: "HANDSFREE_AGENT_LIMITS",
    kind: "counts",
    default: "",
    placeholder: "NAME=N,…",
    summary: "Tasks of single providers that run at the same time",
  },
  runLogLimit: {
    key: "run-log-limit",
    env: "HANDSFREE_AGENT_RUN_LOG_LIMIT",
    kind: "count",
    max: 100_000_000,
    default: "1000000",
    summary: "Characters kept of a run's log; 0: none",
  },
  eventRetentionMs: {
    key: "event-retention",
    env: "HANDSFREE_AGENT_EVENT_RETENTION",
    kind: "days",
    default: "30",
    summary: "Keep the history of tasks; 0: for ever",
  },
  notifications: {
    key: "notifications",
    env: "HANDSFREE_AGENT_NOTIFICATIONS",
    kind: "boolean",
    default: "true",
    summary: "Fill HandsFree's table notifications, if any",
  },
  drainMs: {
    flag: "drain",
    env: "HANDSFREE_AGENT_DRAIN",
    kind: "seconds",
    default: "25",
    placeholder: "DURATION",
    summary: "How long a shutdown waits for the tasks in hand",
  },
  listen: {
    flag: "listen",
    env: "HANDSFREE_AGENT_LISTEN",
    kind: "address",
    default: "",
    placeholder: "ADDRESS",
    summary: "Serve the HTTP API there: 8080 is 127.0.0.1:8080; or unix:/PATH",
  },
  allowedHosts: {
    flag: "allow-host",
    env: "HANDSFREE_AGENT_ALLOW_HOST",
    kind: "hosts",
    default: "",
    placeholder: "NAME,…",
    summary: "Names by which the HTTP API may be called, beside localhost",
  },
  token: {
    env: "HANDSFREE_AGENT_TOKEN",
    kind: "text",
    isSecret: true,
    default: "",
    summary: "What callers of the HTTP API must know; 16 characters or more",
  },
  tokenFile: {
    flag: "token-file",
    env: "HANDSFREE_AGENT_TOKEN_FILE",
    kind: "text",
    isPath: true,
    default: "",
    placeholder: "PATH",
    summary: "A file with the token for it, or set HANDSFREE_AGENT_TOKEN",
  },
  readOnlyToken: {
    env: "HANDSFREE_AGENT_READ_TOKEN",
    kind: "text",
    isSecret: true,
    default: "",
    summary: "A second token for it, with which nothing can be changed",
  },
  telemetry: {
    env: "OTEL_DENO",
    kind: "boolean",
    default: "false",
    summary: "Send a span per run, and metrics, by OpenTelemetry",
  },
  logLevel: {
    flag: "log-level",
    env: "LOG_LEVEL",
    kind: "choice",
    choices: ["DEBUG", "INFO", "WARNING", "ERROR"],
    default: "INFO",
    placeholder: "LEVEL",
    summary: "DEBUG, INFO, WARNING or ERROR",
  },
  logFormat: {
    flag: "log-format",
    env: "LOG_FORMAT",
    kind: "choice",
    choices: ["text", "json"],
    default: "text",
    placeholder: "FORMAT",
    summary: "text or json (one object a line), on stderr",
  },
} as const satisfies Record<string, Setting>;

/** The name of a setting. */
export type SettingName = keyof typeof SETTINGS;

/** The size of what a number counts, in the code's unit. */
export const UNITS = { seconds: 1_000, days: 86_400_000, count: 1 } as const;

/** What a setting is called in the configuration file, if it may be there. */
export function keyOf({ flag, key }: Setting): string | undefined {
  return flag ?? key;
}

/** What a setting means, and its default where it has one. */
export function summaryOf({ summary, default: value }: Setting): string {
  return value === "" ? summary : `${summary} (default ${value})`;
}

/** The number that a text stands for, in the code's unit; undefined for none. */
export function readNumber(form: ValueForm, text: string): number | undefined {
  const { kind, min = 0, max = Number.MAX_SAFE_INTEGER } = form;
  if (kind === "seconds" || kind === "days") {
    return parseDuration(text, { ...form, unit: kind });
  }
  const number = /^\s*\d+\s*$/.test(text) ? Number(text) : NaN;
  return number >= min && number <= max ? number : undefined;
}

/**
 * What a value should be: `a whole number, 1 or more`. The largest number is said
 * where `given` exceeds it.
 */
export function expectedOf(form: ValueForm, given?: unknown): string {
  const { kind, choices = [], min = 0, max = Number.MAX_SAFE_INTEGER } = form;
  switch (kind) {
    case "text":
      return "a value";
    case "address":
      return "an address like 8080, 127.0.0.1:8080, [::1]:8080 or unix:/run/x.sock";
    case "hosts":
      return "names without scheme and port, like runner.example.com";
    case "boolean":
      return "true or false";
    case "choice":
      return `one of ${choices.join(", ")}`;
    case "counts":
      return "pairs like claude=2,http=5";
    case "count":
      return `a whole number, ${min} ${
        Number(given) > max ? `to ${max}` : "or more"
      }`;
    default:
      return expectedDuration({ ...form, unit: kind }, given);
  }
}
