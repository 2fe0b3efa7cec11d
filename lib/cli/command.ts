/**
 * What a command is, and what several commands take.
 *
 * @module
 */

import type { SettingName } from "../../config/settings.ts";
import { TASK_STATES } from "../../task/task.ts";

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

/** Of every command that prints a result. */
export const JSON_FLAG: Flag = {
  name: "json",
  summary: "Print JSON, for scripts",
};

/** Of commands that choose tasks by their states. */
export const STATE_FLAG: Flag = {
  name: "state",
  placeholder: "STATE",
  summary: `${TASK_STATES.join(", ")}; several with commas`,
  choices: TASK_STATES,
  isList: true,
};

/** Of commands that choose tasks by their provider. */
export const PROVIDER_FLAG: Flag = {
  name: "provider",
  placeholder: "NAME",
  summary: "Only this provider",
};

/** Of commands that ask on a terminal whether many tasks are meant. */
export const YES_FLAG: Flag = { name: "yes", summary: "Do it without asking" };

/** Settings that every command takes as flags. */
export const COMMON_SETTINGS: readonly SettingName[] = [
  "configPath",
  "dbPath",
  "dbWaitMs",
  "logLevel",
  "logFormat",
];

/** What the HTTP API takes, with or without a runner beside it. */
export const SERVICE_SETTINGS: readonly SettingName[] = [
  "listen",
  "allowedHosts",
  "tokenFile",
];

/** What commands take that can work through the HTTP API too. */
export const CLIENT_SETTINGS: readonly SettingName[] = ["server", "tokenFile"];
