/**
 * What a command is, what it is given, and what several commands take.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Config, FlagValues } from "../config/config.ts";
import {
  type Setting,
  type SettingName,
  SETTINGS,
  summaryOf,
} from "../config/settings.ts";
import type { Served } from "../config/served.ts";
import type {
  Admin,
  Events,
  Queue,
  ScheduleAdmin,
  Store,
} from "../store/contract.ts";
import { SHOWN_STATES, type ShownState } from "../task/shown_state.ts";
import { TASK_STATES } from "../task/task.ts";
import type { Changes } from "../workspaces/diff.ts";
import type { Terminal } from "./terminal.ts";

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
  /** It may be given more than once: a list, as with commas. */
  readonly isRepeated?: true;
  /** Another flag means the same: help does not name it. */
  readonly isEarlier?: true;
}

/**
 * A command. All of them are loaded at each start: what takes long to load, such
 * as DuckDB, is imported where it is needed.
 */
export interface Command {
  /** A word, or two: `config check`. */
  readonly name: string;
  /** Its arguments, as `--help` shows them. @default {""} */
  readonly args?: string;
  /** How many arguments it takes. @default {0} */
  readonly maxArgs?: number;
  readonly summary: string;
  /** @default {[]} */
  readonly flags?: readonly Flag[];
  /** Settings that it takes as flags, beside the common ones. @default {[]} */
  readonly settings?: readonly SettingName[];
  readonly examples: readonly string[];
  /** It works without the configuration file, be that right or wrong. */
  readonly ignoresConfigFile?: true;
  /** It makes the database where there is none; the others refuse. */
  readonly makesDatabase?: true;
  /** It changes nothing there, and so works where a copy was not finished, too. */
  readonly onlyReads?: true;
  /** It has to do with the processors of providers: runs them, or looks at them. */
  readonly usesProviders?: true;
  /** It runs git, where the workspace of a provider is a repository. */
  readonly usesRepositories?: true;
  /** It starts programs, whatever providers there are. */
  readonly startsPrograms?: true;
  /** It uses the network, though no setting names an address. */
  readonly usesNetwork?: true;
  /**
   * What the commands of two words do that begin with the same one: the help of the
   * program has them as one line.
   */
  readonly family?: string;
  /** For scripts of our own: neither help nor docs/ name it. */
  readonly isHidden?: true;
  /** Does it, and returns the exit code. `run` has none: main.ts runs tasks. */
  readonly run?: (context: CommandContext) => Promise<number>;
}

/** Settings that every command takes as flags. */
export const COMMON_SETTINGS: readonly SettingName[] = [
  "configPath",
  "database",
  "dbSchema",
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

/** Of every command that prints a result. */
export const JSON_FLAG: Flag = {
  name: "json",
  summary: "Print JSON, for scripts",
};

/** Of commands that print CSV. */
export const SPREADSHEET_FLAG: Flag = {
  name: "for-spreadsheet",
  summary: "In CSV, put ' before a text that a spreadsheet would compute",
};

/** Of commands that choose tasks by their states. */
export const STATE_FLAG: Flag = {
  name: "state",
  placeholder: "STATE",
  summary: `${TASK_STATES.join()}, and what else list shows`,
  choices: SHOWN_STATES,
  isList: true,
};

/** Of commands that choose tasks by their provider. */
export const PROVIDER_FLAG: Flag = {
  name: "provider",
  placeholder: "NAME",
  summary: "Only this provider",
};

/** Of commands that choose tasks by the name that they share. */
export const BATCH_FLAG: Flag = {
  name: "batch",
  placeholder: "NAME",
  summary: "Only this batch",
};

/** The settings that a command takes as flags. */
export function settingsOf({ settings = [] }: Command): readonly Setting[] {
  return [...settings, ...COMMON_SETTINGS].map((name) => SETTINGS[name]);
}

/** Every flag of a command, those of settings included. */
export function flagsOf(command: Command): readonly Flag[] {
  return [
    ...command.flags ?? [],
    ...settingsOf(command).flatMap((setting): Flag[] => {
      const { flag = "", kind, placeholder, choices, summary, earlier } =
        setting;
      return [
        {
          name: flag,
          ...kind === "boolean"
            ? { summary }
            : { placeholder, summary: summaryOf(setting) },
          ...choices && { choices },
        },
        ...earlier
          ? [{
            name: earlier.flag,
            placeholder,
            summary: `What --${flag} was called before`,
            isEarlier: true as const,
          }]
          : [],
      ];
    }),
    { name: "help", summary: "Show this help (-h)" },
    { name: "version", summary: "Show the version (-V)" },
  ];
}

/** Beside {@linkcode STATE_FLAG}, of commands that choose tasks by what they have in common. */
const OTHER_FILTER_FLAGS: readonly Flag[] = [
  PROVIDER_FLAG,
  BATCH_FLAG,
  {
    name: "tag",
    placeholder: "TAG",
    isRepeated: true,
    summary: "With this tag (more than one: with all of them)",
  },
  { name: "key", placeholder: "KEY", summary: "With this key" },
  {
    name: "text",
    placeholder: "TEXT",
    summary: "With this text in the instruction or target",
  },
  {
    name: "since",
    placeholder: "SPAN",
    summary: "Created within 24h, 7d, or since a date",
  },
  {
    name: "before",
    placeholder: "SPAN",
    summary: "Created longer ago, or before a date",
  },
];

/** Of commands that choose tasks by what they have in common. */
export const FILTER_FLAGS: readonly Flag[] = [
  STATE_FLAG,
  ...OTHER_FILTER_FLAGS,
];

/** The same, of those that take tasks in some states only. */
export function filterFlagsFor(states: readonly ShownState[]): readonly Flag[] {
  return [
    { ...STATE_FLAG, summary: states.join(), choices: states },
    ...OTHER_FILTER_FLAGS,
  ];
}

/** What a command is given. */
export interface CommandContext {
  /** All of them. */
  readonly commands: readonly Command[];
  readonly config: Config;
  readonly args: readonly string[];
  readonly flags: FlagValues;
  readonly clock: Clock;
  readonly log: Log;
  readonly terminal: Terminal;
  /**
   * Opens the store that the configuration names: a file, or a database.
   *
   * @throws {DatabaseError} where it can't be used.
   */
  readonly openStore: (signal?: AbortSignal) => Promise<Store>;
  /**
   * As {@linkcode openStore}, but that it waits for ever for another program that
   * holds the store, says for whom, and gives up only when `stop` aborts: then
   * there is none.
   */
  readonly openStoreWhenFree: (stop: AbortSignal) => Promise<Store | undefined>;
  /** Opens the tasks that the configuration names, in a file or a service. */
  readonly openAdmin: () => Promise<OpenAdmin>;
}

/** Tasks to work on; {@linkcode Store} is one. */
export interface OpenAdmin extends AsyncDisposable {
  readonly admin: Admin;
  readonly schedules: ScheduleAdmin;
  /** Not where they are behind a service. */
  readonly events?: Pick<Events, "onChange">;
  /** The same. */
  readonly queue?: Pick<Queue, "preview">;
  readonly defaultProvider: Served["defaultProvider"];
  /** Only where they are behind a service: what a task changed on its machine. */
  readonly changes?: (id: string) => Promise<Changes>;
  /** Not where they are behind a service, which says so itself. */
  readonly warningFor?: Served["warningFor"];
}

/** What leases and the history call this process. */
export function runnerName(): string {
  return `agent-runner-${Deno.pid}-${crypto.randomUUID().slice(0, 8)}`;
}
