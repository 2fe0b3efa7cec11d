/**
 * Who does the work of a provider's tasks, as the configuration has it; and what to
 * say where nobody does.
 *
 * @module
 */

import { closestString } from "@std/text/closest-string";
import { UsageError } from "../base/errors.ts";
import { DEFAULT_PROVIDER } from "../task/new_task.ts";
import type { Config } from "./config.ts";

type ServedConfig = Pick<
  Config,
  "providers" | "configPath" | "simulate" | "defaultProvider"
>;

/** The provider of a task that names none. */
export function defaultProviderOf(
  { defaultProvider, providers }: ServedConfig,
): string {
  if (defaultProvider !== "") return defaultProvider;
  const [only = DEFAULT_PROVIDER, ...others] = [...providers?.keys() ?? []]
    .filter((name) => name !== "*");
  return others.length === 0 && !providers?.has("*") ? only : DEFAULT_PROVIDER;
}

/**
 * Says that nobody does the work of a provider's tasks, and what to do; undefined
 * where somebody does.
 */
export function warningFor(
  provider: string,
  { providers, configPath, simulate }: ServedConfig,
): string | undefined {
  if (!providers) {
    if (simulate === "never" || configPath !== undefined) {
      return `No provider is configured: tasks of "${provider}" wait. ${HOW}`;
    }
    return provider === DEFAULT_PROVIDER ? undefined : (
      `No provider is configured: tasks of "${provider}" are only simulated, ` +
      `nothing is done. ${HOW}`
    );
  }
  if (providers.has("*") || providers.has(provider)) return undefined;
  const names = [...providers.keys()];
  return `${configPath} names no provider "${provider}": its tasks wait. Did ` +
    `you mean "${closestString(provider, names)}"? There are ${
      names.join(", ")
    }.`;
}

/** What to do where no provider is configured. */
const HOW =
  "Name it under providers in agent-runner.json; agent-runner config " +
  "check says what would run.";

/** Whose tasks are worked on. */
export interface Served {
  /** The provider of a new task that names none. */
  readonly defaultProvider: string;
  /** Says that nobody does the work of a provider's tasks. */
  readonly warningFor: (provider: string) => string | undefined;
}

/**
 * What a configuration says of that.
 *
 * @param isUnusable What the runner says of a provider. Default: nothing
 */
export function servedBy(
  config: ServedConfig,
  isUnusable: (provider: string) => boolean = () => false,
): Served {
  return {
    defaultProvider: defaultProviderOf(config),
    warningFor: (provider) =>
      warningFor(provider, config) ??
        (isUnusable(provider)
          ? `Provider "${provider}" can't be used as it is configured: its tasks ` +
            "wait. agent-runner config check says why."
          : undefined),
  };
}

/**
 * Says that all tasks are only simulated; undefined where they are not.
 *
 * @throws {UsageError} where something would be simulated, and may not be.
 */
export function simulationWarning(
  { providers, configPath, simulate }: Pick<
    Config,
    "providers" | "configPath" | "simulate"
  >,
): string | undefined {
  if (!providers && configPath !== undefined) {
    throw new UsageError(
      `Cannot run tasks: ${configPath} names no provider, and with a ` +
        "configuration only those are simulated that it names. To simulate " +
        'all: "providers": { "*": { "processor": "simulate" } }.',
    );
  }
  const [simulated] = [...providers ?? []]
    .find(([, { processor }]) => processor === "simulate") ?? [];
  if (simulate === "never" && (!providers || simulated !== undefined)) {
    throw new UsageError(
      `Cannot run tasks: ${
        simulated === undefined
          ? "no provider is configured"
          : `provider "${simulated}" is simulated`
      }, and nothing may be simulated (simulate is "never"). ${
        simulated === undefined ? HOW : "Give it another processor."
      }`,
    );
  }
  return providers
    ? undefined
    : `No provider is configured: every task is only simulated, nothing is done. ${HOW}`;
}
