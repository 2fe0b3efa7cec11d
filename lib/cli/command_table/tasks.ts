/**
 * Commands for tasks: making them, looking at them, stepping in.
 *
 * @module
 */

import {
  CLIENT_SETTINGS,
  type Command,
  JSON_FLAG,
  PROVIDER_FLAG,
  STATE_FLAG,
  YES_FLAG,
} from "./command.ts";

/** Those for single tasks and sets of them. */
export const TASK_COMMANDS: readonly Command[] = [
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
];
