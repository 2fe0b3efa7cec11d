/**
 * Which providers a runner serves, and how many tasks of each at a time.
 *
 * @module
 */

import type { ProviderSettings } from "../processors/processor.ts";
import type { Runs } from "./runs.ts";
import { OTHERS } from "../store/contract.ts";

/** Settings by provider; {@linkcode OTHERS} is for those that are not named. */
export type ProviderMap = ReadonlyMap<string, ProviderSettings>;

/** The settings of a provider: its own, or those for all the others. */
export function settingsFor(
  provider: string,
  providers: ProviderMap | undefined,
): ProviderSettings | undefined {
  return providers && (providers.get(provider) ?? providers.get(OTHERS));
}

/** Only these providers' tasks are claimed; undefined for all. */
export function claimedProvidersOf(
  providers: ProviderMap | undefined,
): readonly string[] | undefined {
  return providers && !providers.has(OTHERS)
    ? [...providers.keys()]
    : undefined;
}

/**
 * How many tasks of a provider run at the same time: `limits` where they name
 * it, else its own `concurrency`. A provider that is named without a number is
 * none of the others. Empty where nothing is limited.
 */
export function limitsOf(
  limits: ReadonlyMap<string, number>,
  providers: ProviderMap = new Map(),
): ReadonlyMap<string, number> {
  return finite([
    ...[...providers].map(([name, { concurrency = Infinity }]) =>
      [name, concurrency] as const
    ),
    ...limits,
  ]);
}

/** How many tasks of a provider all runners together run at the same time. */
export function globalLimitsOf(
  providers: ProviderMap = new Map(),
): ReadonlyMap<string, number> {
  return finite(
    [...providers].map(([name, { globalConcurrency = Infinity }]) =>
      [name, globalConcurrency] as const
    ),
  );
}

/** Empty where nothing is limited. */
function finite(
  limits: readonly (readonly [name: string, limit: number])[],
): ReadonlyMap<string, number> {
  const all = new Map(limits);
  return [...all.values()].some(Number.isFinite) ? all : new Map();
}

/** What a runner claims by. */
interface ClaimSettings {
  readonly providers?: ProviderMap;
  readonly limits: ReadonlyMap<string, number>;
}

/** The settings of a runner that leaves the tasks of these providers alone. */
export function withoutProviders<T extends ClaimSettings>(
  settings: T,
  unusable: ReadonlySet<string>,
): T {
  if (unusable.size === 0 || !settings.providers) return settings;
  const left = [...settings.providers].filter(([name]) => !unusable.has(name));
  // Else those who serve all others would take them.
  const none = [...unusable].map((name) => [name, 0] as const);
  return {
    ...settings,
    providers: new Map(left),
    limits: new Map([...settings.limits, ...none]),
  };
}

/** How many more tasks may be claimed; undefined where nothing is limited. */
export function providerRoom(
  limits: ReadonlyMap<string, number>,
  runs: Runs,
): ReadonlyMap<string, number> | undefined {
  if (limits.size === 0) return undefined;
  return new Map(
    [...limits].map(([provider, limit]) => {
      const count = runs.countOf(
        provider === OTHERS ? (it) => !limits.has(it) : (it) => it === provider,
      );
      return [provider, Math.max(0, limit - count)];
    }),
  );
}
