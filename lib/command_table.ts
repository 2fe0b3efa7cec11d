/**
 * The one table of commands and their flags. Parsing, `--help` and README's
 * table are made from it.
 *
 * @module
 */

import { EXPORT_FORMATS } from "./history.ts";
import type { SettingName } from "./settings.ts";
import { TASK_STATES } from "./task.ts";

/** A flag of one command. */
export interface Flag {
  /** The long name without its dashes. */
  readonly name: string;
  /** What its value is called; without it, the flag has no value. */
  readonly placeholder?: string;
  readonly summary: string;
  /** What its value may be, where that can be listed. */
  readonly choices?: readonly string[];
  /** Its value may be several of the choices, with commas. */
  readonly isList?: boolean;
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
  /** It makes the database where there is none; the others refuse. */
  readonly makesDatabase?: true;
}

const JSON_FLAG: Flag = { name: "json", summary: "Print JSON, for scripts" };

const STATE_FLAG: Flag = {
  name: "state",
  placeholder: "STATE",
  summary: `${TASK_STATES.join(", ")}; several with commas`,
  choices: TASK_STATES,
  isList: true,
};

const PROVIDER_FLAG: Flag = {
  name: "provider",
  placeholder: "NAME",
  summary: "Only this provider",
};

const YES_FLAG: Flag = { name: "yes", summary: "Do it without asking" };

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

/** What commands take that can work through the HTTP API too. */
const CLIENT_SETTINGS: readonly SettingName[] = ["server", "tokenFile"];

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
    makesDatabase: true,
    examples: ["run --once", "run --loop --listen 8080"],
  },
  {
    name: "serve",
    args: "",
    maxArgs: 0,
    summary: "Serve the HTTP API and metrics, and run no tasks",
    flags: [],
    settings: [...SERVICE_SETTINGS, "drainMs"],
    makesDatabase: true,
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
          "Try up to N times; a runner's death counts too (default --attempts of run)",
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
    settings: CLIENT_SETTINGS,
    makesDatabase: true,
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
      STATE_FLAG,
      PROVIDER_FLAG,
      { name: "limit", placeholder: "N", summary: "At most N (default 50)" },
      JSON_FLAG,
    ],
    settings: CLIENT_SETTINGS,
    examples: ["list --state failed", "list --json --limit 10"],
  },
  {
    name: "show",
    args: "ID",
    maxArgs: 1,
    summary: "Show a task with its history; the start of an id is enough",
    flags: [JSON_FLAG],
    settings: CLIENT_SETTINGS,
    examples: ["show 550e8400"],
  },
  {
    name: "result",
    args: "ID",
    maxArgs: 1,
    summary: "Print what a completed task returned: text as it is, else JSON",
    flags: [{ name: "json", summary: "Print text as JSON too" }],
    settings: CLIENT_SETTINGS,
    examples: ["result 550e8400", "result 550e8400 --json"],
  },
  {
    name: "answer",
    args: "[ID…] ANSWER",
    maxArgs: Infinity,
    summary: "Answer tasks that wait for input, all the same (- for stdin)",
    flags: [
      { ...STATE_FLAG, summary: "needs_input", choices: ["needs_input"] },
      PROVIDER_FLAG,
      { name: "all", summary: "All that wait for input" },
      YES_FLAG,
      JSON_FLAG,
    ],
    settings: CLIENT_SETTINGS,
    examples: [
      'answer 550e8400 "The main branch"',
      "answer 550e8400 -",
      'answer --state needs_input --provider claude "Yes"',
    ],
  },
  {
    name: "cancel",
    args: "[ID…]",
    maxArgs: Infinity,
    summary: "Cancel tasks: at once, or within seconds where they run",
    flags: [
      STATE_FLAG,
      PROVIDER_FLAG,
      { name: "all", summary: "All that have not ended" },
      YES_FLAG,
      JSON_FLAG,
    ],
    settings: CLIENT_SETTINGS,
    examples: [
      "cancel 550e8400",
      "cancel --state created --provider claude",
    ],
  },
  {
    name: "retry",
    args: "[ID…]",
    maxArgs: Infinity,
    summary: "Run tasks again: ended ones as new tasks, waiting ones at once",
    flags: [
      STATE_FLAG,
      PROVIDER_FLAG,
      { name: "all", summary: "All that failed or wait, not retried before" },
      YES_FLAG,
      JSON_FLAG,
    ],
    settings: CLIENT_SETTINGS,
    examples: [
      "retry 550e8400",
      "retry --state failed --provider claude --yes",
    ],
  },
  {
    name: "watch",
    args: "",
    maxArgs: 0,
    summary: "See what happens, live",
    flags: [
      {
        name: "interval",
        placeholder: "SECONDS",
        summary: "Time between two looks (default 1)",
      },
      { name: "json", summary: "Print a line of JSON for each change" },
    ],
    settings: CLIENT_SETTINGS,
    examples: ["watch", "watch --interval 0.2", "watch --json"],
  },
  {
    name: "stats",
    args: "",
    maxArgs: 0,
    summary: "Count tasks, and say how fast they run and why they fail",
    flags: [
      {
        name: "since",
        placeholder: "SPAN",
        summary: "15m, 24h, 7d, or a date (default 24h)",
      },
      JSON_FLAG,
    ],
    settings: CLIENT_SETTINGS,
    examples: ["stats", "stats --since 7d"],
  },
  {
    name: "export",
    args: "[FILE | -]",
    maxArgs: 1,
    summary: "Write tasks or their history as Parquet, CSV or JSON Lines",
    flags: [
      {
        name: "format",
        placeholder: "FORMAT",
        summary: "parquet, csv or jsonl (default: by the file's name)",
        choices: EXPORT_FORMATS,
      },
      { name: "events", summary: "The history instead of the tasks" },
      STATE_FLAG,
      PROVIDER_FLAG,
      {
        name: "since",
        placeholder: "SPAN",
        summary: "Created, or happened, within 24h, 7d, or since a date",
      },
      { name: "force", summary: "Replace the file if there is one" },
      JSON_FLAG,
    ],
    settings: CLIENT_SETTINGS,
    examples: [
      "export tasks.parquet",
      "export history.csv --events --since 7d",
      "export --state failed --format csv",
    ],
  },
  {
    name: "prune",
    args: "",
    maxArgs: 0,
    summary: "Delete tasks that ended long ago, with their history",
    flags: [
      {
        name: "older-than",
        placeholder: "SPAN",
        summary: "What ended before then: 24h, 30d, or a date",
      },
      { name: "dry-run", summary: "Only count what would be deleted" },
      YES_FLAG,
      JSON_FLAG,
    ],
    settings: CLIENT_SETTINGS,
    examples: ["prune --older-than 30d --dry-run", "prune --older-than 30d"],
  },
  {
    name: "sql",
    args: "[QUESTION | -]",
    maxArgs: 1,
    summary: "Ask agent_tasks and agent_task_events anything, in SQL",
    flags: [
      {
        name: "limit",
        placeholder: "N",
        summary: "Rows at most (default 1000; 100000 with --json and --csv)",
      },
      {
        name: "timeout",
        placeholder: "SECONDS",
        summary: "Give up after this time (default 5); runners wait so long",
      },
      JSON_FLAG,
      { name: "csv", summary: "Print CSV, for spreadsheets" },
    ],
    settings: [],
    examples: [
      'sql "FROM agent_task_events ORDER BY id DESC LIMIT 20"',
      'sql "SUMMARIZE agent_tasks" --csv',
    ],
  },
  {
    name: "doctor",
    args: "",
    maxArgs: 0,
    summary: "Look for what is wrong, and say what to do",
    flags: [JSON_FLAG],
    settings: ["leaseMs"],
    examples: ["doctor"],
  },
  {
    name: "completions",
    args: "bash | zsh | fish",
    maxArgs: 1,
    summary: "Print a script that completes words in the shell",
    flags: [],
    settings: [],
    examples: ["completions bash", "completions zsh"],
    ignoresConfigFile: true,
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
