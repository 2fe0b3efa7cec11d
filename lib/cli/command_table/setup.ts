/**
 * Commands for the shell and the configuration file.
 *
 * @module
 */

import { type Command, JSON_FLAG } from "./command.ts";

/** Those that look at how things are set up. */
export const SETUP_COMMANDS: readonly Command[] = [
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
