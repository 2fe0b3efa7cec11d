/**
 * Gives back what the program was permitted and has no use for.
 *
 * @module
 */

import { isPostgresAddress } from "../base/database_address.ts";
import type { Config } from "../config/config.ts";
import type { ProviderOptions } from "../config/schema.ts";
import type { Command } from "./command.ts";

/** To start programs, and to use the network. */
const RIGHTS = ["run", "net"] as const;
type Right = (typeof RIGHTS)[number];

/**
 * Gives back, for good, what this command can't need with this configuration: the
 * less can be done by what gets into the process.
 */
export function giveBack(command: Command, config: Config): void {
  for (const name of RIGHTS) {
    if (!isNeeded(name, command, config)) {
      Deno.permissions.revokeSync({ name });
    }
  }
}

/** Whether a command may need it. */
export function isNeeded(
  right: Right,
  command: Command,
  config: Config,
): boolean {
  const { usesProviders = false, usesNetwork = false, settings } = command;
  const { startsPrograms = false, usesRepositories = false } = command;
  const providers = usesProviders ? [...config.providers?.values() ?? []] : [];
  if (providers.some(({ options }) => isForTasks(right, options))) return true;
  if (right === "run") {
    return startsPrograms || usesRepositories && hasRepository(config);
  }
  if (isPostgresAddress(config.database)) return true;
  const hasAddress = (["listen", "server"] as const).some((name) =>
    settings?.includes(name) && config[name] !== ""
  );
  const tellsOthers = config.webhooks !== undefined || config.telemetry;
  return usesNetwork || hasAddress || usesProviders && tellsOthers;
}

function hasRepository({ providers = new Map() }: Config): boolean {
  return [...providers.values()].some(({ options }) =>
    "workspace" in options && typeof options.workspace === "object"
  );
}

function isForTasks(right: Right, options: ProviderOptions): boolean {
  switch (options.processor) {
    case "simulate":
      return false;
    case "agent":
    case "command":
    case "patch":
      return right === "run";
    // Its process is started with what it may do, and that must be had here too.
    case "module":
      return right === "run" || options.permissions.net !== false;
    case "http":
      return right === "net";
  }
}
