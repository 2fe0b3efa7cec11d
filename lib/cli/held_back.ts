/**
 * What limits of providers hold back, for the metrics.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { OpenHours } from "../runner/open_hours.ts";
import {
  claimedProvidersOf,
  type ProviderMap,
  taskLimitsOf,
} from "../runner/providers.ts";
import type { HeldBack } from "../service/api/prometheus.ts";
import { OTHERS, type Store } from "../store/contract.ts";

/** Counts them when it is called; undefined where no provider has such a limit. */
export function heldBackReader(
  { admin, queue }: Pick<Store, "admin" | "queue">,
  { providers, maxAttempts, clock }: {
    readonly providers?: ProviderMap | undefined;
    readonly maxAttempts: number;
    readonly clock: Clock;
  },
): (() => Promise<HeldBack[]>) | undefined {
  const taskLimits = taskLimitsOf(providers);
  const hours = new OpenHours(providers);
  if (taskLimits.size === 0 && !hours.isAny) return undefined;
  return async () => {
    const closed = hours.closed(clock.now());
    const isClosed = (provider: string) =>
      closed.has(providers?.has(provider) ? provider : OTHERS);
    const { counts } = closed.size > 0 ? await admin.count() : { counts: [] };
    const waiting = counts.filter(({ provider, state }) =>
      state === "created" && isClosed(provider)
    );
    const { held } = taskLimits.size === 0
      ? { held: [] }
      : await queue.preview({
        ...{ limit: 0, maxAttempts, taskLimits },
        providers: claimedProvidersOf(providers),
      });
    return [
      ...waiting.map(({ provider, count }) => (
        { provider, reason: "hours", count } as const
      )),
      // What other tasks hold back is no limit's doing.
      ...held.flatMap(({ kind, ...it }) =>
        kind === "touches" || isClosed(it.provider)
          ? []
          : [{ ...it, reason: kind }]
      ),
    ];
  };
}
