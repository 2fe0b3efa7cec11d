/**
 * Commands for who keeps a runner going.
 *
 * @module
 */

import { EXPORT_FORMATS } from "../../store/history.ts";
import {
  CLIENT_SETTINGS,
  type Command,
  JSON_FLAG,
  PROVIDER_FLAG,
  STATE_FLAG,
  YES_FLAG,
} from "./command.ts";

/** Those for all tasks together. */
export const OPERATING_COMMANDS: readonly Command[] = [
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
];
