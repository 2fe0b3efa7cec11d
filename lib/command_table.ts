/**
 * The one table of commands and their flags. Parsing, `--help` and README's
 * table are made from it.
 *
 * @module
 */

import type { SettingName } from "./settings.ts";
import { TASK_STATES } from "./task.ts";

/** A flag of one command. */
export interface Flag {
  /** The long name without its dashes. */
  readonly name: string;
  /** What its value is called; without it, the flag has no value. */
  readonly placeholder?: string;
  readonly summary: string;
}

/** A command. */
export interface Command {
  /** A word, or two: `config check`. */
  readonly name: string;
  /** Its arguments, as `--help` shows them. */
  readonly args: string;
  /** How many arguments it takes. */
  readonly maxArgs: number;
  readonly summary: string;
  readonly flags: readonly Flag[];
  /** Settings that it takes as flags, beside the common ones. */
  readonly settings: readonly SettingName[];
  readonly examples: readonly string[];
  /** It works without the configuration file, be that right or wrong. */
  readonly ignoresConfigFile?: true;
}

const JSON_FLAG: Flag = { name: "json", summary: "Print JSON, for scripts" };

/** Settings that every command takes as flags. */
export const COMMON_SETTINGS: readonly SettingName[] = [
  "configPath",
  "dbPath",
  "dbWaitMs",
  "logLevel",
  "logFormat",
];

/** What the HTTP API takes, with or without a runner beside it. */
const SERVICE_SETTINGS: readonly SettingName[] = [
  "listen",
  "allowedHosts",
  "tokenFile",
];

/** Every command. The first is what runs when none is named. */
export const COMMANDS: readonly [Command, ...Command[]] = [
  {
    name: "run",
    args: "[--once | --loop]",
    maxArgs: 0,
    summary: "Run tasks: those that wait (--once), or for ever (--loop)",
    flags: [
      { name: "once", summary: "Run what waits, then exit (the default)" },
      { name: "loop", summary: "Go on until SIGINT or SIGTERM" },
      { name: "dry-run", summary: "Show what would run, and touch nothing" },
      JSON_FLAG,
    ],
    settings: [
      "intervalMs",
      "concurrency",
      "exclusive",
      "leaseMs",
      "maxAttempts",
      "attempts",
      "timeoutMs",
      "limits",
      "drainMs",
      ...SERVICE_SETTINGS,
    ],
    examples: ["run --once", "run --loop --listen 8080"],
  },
  {
    name: "serve",
    args: "",
    maxArgs: 0,
    summary: "Serve the HTTP API and metrics, and run no tasks",
    flags: [],
    settings: [...SERVICE_SETTINGS, "drainMs"],
    examples: ["serve", "serve --listen 0.0.0.0:8080 --token-file token"],
  },
  {
    name: "run-task",
    args: "ID",
    maxArgs: 1,
    summary: "Run one task now, with its output on the terminal",
    flags: [],
    settings: ["exclusive", "leaseMs", "maxAttempts", "attempts", "timeoutMs"],
    examples: ["run-task 550e8400"],
  },
  {
    name: "create",
    args: "[INSTRUCTION | -]",
    maxArgs: 1,
    summary: "Create a task, or many from a file",
    flags: [
      {
        name: "provider",
        placeholder: "NAME",
        summary: 'Who does the work (default "simulate")',
      },
      {
        name: "user",
        placeholder: "ID",
        summary: 'Whose task it is: a UUID or any text (default "local")',
      },
      {
        name: "target",
        placeholder: "REF",
        summary: "The issue or pull request: owner/repo#12",
      },
      {
        name: "target-type",
        placeholder: "TYPE",
        summary: "issue or pr (default issue)",
      },
      {
        name: "trace",
        placeholder: "JSON",
        summary: "A JSON object to start with",
      },
      {
        name: "priority",
        placeholder: "N",
        summary: "Higher runs first (default 0)",
      },
      {
        name: "run-at",
        placeholder: "TIME",
        summary: "Not before this time: 2026-12-31T08:00:00Z",
      },
      {
        name: "attempts",
        placeholder: "N",
        summary:
          "Try a task that fails up to N times (default --attempts of run)",
      },
      {
        name: "timeout",
        placeholder: "SECONDS",
        summary: "Stop a run that takes longer (default --timeout of run)",
      },
      {
        name: "file",
        placeholder: "PATH",
        summary: "Create one task per line of a JSON Lines file (- for stdin)",
      },
      JSON_FLAG,
    ],
    settings: [],
    examples: [
      'create "Summarise the open issues" --provider simulate',
      'create "Fix the flaky test" --target octo/app#12 --target-type pr',
      "create --file tasks.jsonl",
    ],
  },
  {
    name: "list",
    args: "",
    maxArgs: 0,
    summary: "List tasks, newest first",
    flags: [
      {
        name: "state",
        placeholder: "STATE",
        summary: `${TASK_STATES.join(", ")}; several with commas`,
      },
      { name: "provider", placeholder: "NAME", summary: "Only this provider" },
      { name: "limit", placeholder: "N", summary: "At most N (default 50)" },
      JSON_FLAG,
    ],
    settings: [],
    examples: ["list --state failed", "list --json --limit 10"],
  },
  {
    name: "show",
    args: "ID",
    maxArgs: 1,
    summary: "Show a task with its history; the start of an id is enough",
    flags: [JSON_FLAG],
    settings: [],
    examples: ["show 550e8400"],
  },
  {
    name: "result",
    args: "ID",
    maxArgs: 1,
    summary: "Print what a completed task returned: text as it is, else JSON",
    flags: [{ name: "json", summary: "Print text as JSON too" }],
    settings: [],
    examples: ["result 550e8400", "result 550e8400 --json"],
  },
  {
    name: "answer",
    args: "ID [ANSWER | -]",
    maxArgs: 2,
    summary: "Answer the question of a task that waits for input",
    flags: [JSON_FLAG],
    settings: [],
    examples: ['answer 550e8400 "The main branch"', "answer 550e8400 -"],
  },
  {
    name: "cancel",
    args: "ID",
    maxArgs: 1,
    summary: "Cancel a task: at once, or within seconds where it is running",
    flags: [JSON_FLAG],
    settings: [],
    examples: ["cancel 550e8400"],
  },
  {
    name: "webhooks test",
    args: "[URL]",
    maxArgs: 1,
    summary: "Send a test event to each webhook; exit code 1 where one fails",
    flags: [JSON_FLAG],
    settings: [],
    examples: ["webhooks test"],
  },
  {
    name: "webhooks list",
    args: "",
    maxArgs: 0,
    summary: "Show webhooks: what waits, the last success, the last error",
    flags: [JSON_FLAG],
    settings: [],
    examples: ["webhooks list"],
  },
  {
    name: "config check",
    args: "",
    maxArgs: 0,
    summary: "Say what would run for each provider, and what is wrong with it",
    flags: [JSON_FLAG],
    settings: [],
    examples: ["config check", "config check --config other.json"],
  },
  {
    name: "config schema",
    args: "",
    maxArgs: 0,
    summary: "Print the JSON Schema of the configuration file, for editors",
    flags: [],
    settings: [],
    examples: ["config schema"],
    ignoresConfigFile: true,
  },
];
