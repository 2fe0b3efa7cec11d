/**
 * Which providers a runner serves, and how many tasks of each at a time.
 *
 * @module
 */

import type { ProviderSettings } from "../processors/processor.ts";
import { isLimited, type TaskLimits } from "../task/limits.ts";
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

/**
 * Only these providers' tasks are claimed; undefined for all.
 *
 * @param unusable Those that can't be used as they are configured
 */
export function claimedProvidersOf(
  providers: ProviderMap | undefined,
  unusable: ReadonlySet<string> = new Set(),
): readonly string[] | undefined {
  return providers && !(providers.has(OTHERS) && !unusable.has(OTHERS))
    ? [...providers.keys()].filter((it) => it !== OTHERS && !unusable.has(it))
    : undefined;
}

/** Whether a provider's tasks wait because it can't be used. */
export function isUnusable(
  provider: string,
  { unusable, settings: { providers } }: {
    readonly unusable: ReadonlySet<string>;
    readonly settings: { readonly providers?: ProviderMap };
  },
): boolean {
  return unusable.has(providers?.has(provider) ? provider : OTHERS);
}

/**
 * How many tasks of a provider run at the same time: `limits` where they name
 * it, else its own `concurrency`. A provider that is named without a number is
 * none of the others. Empty where nothing is limited.
 *
 * @param unusable Those that can't be used as they are configured
 */
export function limitsOf(
  limits: ReadonlyMap<string, number>,
  providers: ProviderMap = new Map(),
  unusable: ReadonlySet<string> = new Set(),
): ReadonlyMap<string, number> {
  return finite([
    ...[...providers].map(([name, { concurrency = Infinity }]) =>
      [name, concurrency] as const
    ),
    ...limits,
    // Else those who serve all others would take them.
    ...[...unusable].map((name) => [name, 0] as const),
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

/** What may begin of each provider's tasks; empty where nothing is limited. */
export function taskLimitsOf(
  providers: ProviderMap = new Map(),
): ReadonlyMap<string, TaskLimits> {
  const all = [...providers].map(([name, { taskLimits = {} }]) =>
    [name, taskLimits] as const
  );
  return new Map(all.some(([, it]) => isLimited(it)) ? all : []);
}

/** Empty where nothing is limited. */
function finite(
  limits: readonly (readonly [name: string, limit: number])[],
): ReadonlyMap<string, number> {
  const all = new Map(limits);
  return [...all.values()].some(Number.isFinite) ? all : new Map();
}

/** What others run, or is recorded, decides what may be claimed. */
export function sharesRoom(
  { globalLimits, taskLimits, pauses }: {
    readonly globalLimits: ReadonlyMap<string, number>;
    readonly taskLimits: ReadonlyMap<string, TaskLimits>;
    readonly pauses: { readonly isAny: boolean };
  },
): boolean {
  return globalLimits.size > 0 || taskLimits.size > 0 || pauses.isAny;
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
