/**
 * Commands that run tasks.
 *
 * @module
 */

import { type Command, JSON_FLAG, SERVICE_SETTINGS } from "./command.ts";

/** Those that run tasks. The first is what runs when none is named. */
export const RUN_COMMANDS: readonly [Command, ...Command[]] = [
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
];
