/**
 * What every command is given.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import type { Config, FlagValues } from "../config/config.ts";
import type { Log } from "../base/log.ts";
import type { OpenStore } from "../store/open.ts";
import type { TaskDesk } from "../store/task_admin.ts";
import type { Terminal } from "./terminal.ts";

/** Options for {@linkcode RunCommand}. */
export interface CommandContext {
  readonly config: Config;
  readonly args: readonly string[];
  readonly flags: FlagValues;
  readonly clock: Clock;
  readonly log: Log;
  readonly terminal: Terminal;
  /** Opens the store that the configuration names: a file. */
  readonly openStore: () => Promise<OpenStore>;
  /** Opens the tasks that the configuration names, be that a file or a service. */
  readonly openDesk: () => Promise<TaskDesk>;
}

/** Runs one command and returns the exit code. */
export type RunCommand = (context: CommandContext) => Promise<number>;

/** A flag's text; undefined where it was not given. */
export function textFlag(flags: FlagValues, name: string): string | undefined {
  const value = flags[name];
  return typeof value === "string" ? value : undefined;
}

/** What leases and the history call this process. */
export function runnerName(): string {
  return `agent-runner-${Deno.pid}-${crypto.randomUUID().slice(0, 8)}`;
}
