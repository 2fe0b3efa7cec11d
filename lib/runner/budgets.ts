/**
 * What providers may spend in a day: where that is spent, they are paused until the
 * next.
 *
 * @module
 */

import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import { formatCount } from "../base/figures.ts";
import type { Log } from "../base/log.ts";
import type { ProviderSettings } from "../processors/processor.ts";
import type { Queue, UsageSum } from "../store/contract.ts";
import { type Budget, tokensOf } from "../task/usage.ts";
import type { RunnerEvents } from "./events.ts";
import type { Pauses } from "./pauses.ts";
import { settingsFor } from "./providers.ts";

/** What {@linkcode Budgets} works with. */
export interface BudgetsParts {
  readonly queue: Pick<Queue, "usage" | "pause">;
  readonly clock: Clock;
  readonly log: Log;
  readonly providers?: ReadonlyMap<string, ProviderSettings> | undefined;
  /** Of all providers together. */
  readonly budget?: Budget | undefined;
  readonly pauses: Pick<Pauses, "has">;
}

/** Watches over budgets, from what runs say that they used. */
export class Budgets {
  readonly #parts: BudgetsParts;
  /** Whose runs have used something since the last look. */
  readonly #spenders = new Set<string>();
  #looking: Promise<void> | undefined;
  readonly #warned = new Set<string>();

  constructor(parts: BudgetsParts) {
    this.#parts = parts;
  }

  /** Looks whenever a run has used something. */
  watch(events: RunnerEvents): void {
    events.subscribe((event) => {
      if (event.type !== "recorded" || !event.transition.usage) return;
      const { provider } = event.task;
      if (event.transition.usage.costUsd === undefined) {
        this.#warnOfTokens(provider);
      }
      this.#spenders.add(provider);
      this.#looking ??= this.#look().finally(() => this.#looking = undefined);
    });
  }

  /** Dollars can't be counted where only tokens are told, and no price is known. */
  #warnOfTokens(provider: string): void {
    const { providers, budget, log } = this.#parts;
    const own = settingsFor(provider, providers)?.budget;
    const isInDollars = [own?.taskUsd, own?.dayUsd, budget?.dayUsd]
      .some((it) => it !== undefined);
    if (!isInDollars || this.#warned.has(provider)) return;
    this.#warned.add(provider);
    log.warning(
      `Provider ${provider} tells no cost: a budget in dollars does not count ` +
        'what it uses. Give it "prices", or a budget in "tokensPerDay".',
      { event: "cost_unknown", provider },
    );
  }

  /** Resolves when nothing is looked for any more. */
  async idle(): Promise<void> {
    while (this.#looking) await this.#looking;
  }

  async #look(): Promise<void> {
    const { queue, clock, log, pauses } = this.#parts;
    while (this.#spenders.size > 0) {
      const spenders = [...this.#spenders];
      this.#spenders.clear();
      if (!spenders.some((it) => this.isLimited(it))) continue;
      const now = clock.now();
      try {
        const sums = await queue.usage(now.getTime() - +midnight(now, 0));
        for (const [provider, reason] of this.#overspent(spenders, sums)) {
          if (pauses.has(provider, "budget")) continue;
          const waitMs = +midnight(now, 1) - now.getTime();
          await queue.pause({ provider }, { kind: "budget", reason, waitMs });
        }
      } catch (error) {
        log.error(`Cannot look after the budgets: ${messageOf(error)}`, {
          event: "budget_unknown",
          error: messageOf(error),
        });
        // The next run that uses something looks after them too.
        for (const it of spenders) this.#spenders.add(it);
        return;
      }
    }
  }

  /** Whether there is a budget of a day that its runs are counted against. */
  isLimited(provider: string): boolean {
    const { providers, budget } = this.#parts;
    return [budget, settingsFor(provider, providers)?.budget].some((it) =>
      it?.dayUsd !== undefined || it?.tokensPerDay !== undefined
    );
  }

  /** Who is to be paused, and why. */
  #overspent(
    spenders: readonly string[],
    sums: readonly UsageSum[],
  ): Map<string, string> {
    const { providers, budget } = this.#parts;
    const found = new Map<string, string>();
    const all = excessOf(budget, sums);
    if (all) {
      const agents = [...providers ?? []].filter(([, it]) => it.isAgent);
      const spent = new Set([
        ...sums.map(({ provider }) => provider),
        ...agents.map(([name]) => name),
      ]);
      for (const name of withFallbacks(spent, providers)) {
        found.set(name, `${all} of all providers together`);
      }
    }
    for (const provider of spenders) {
      const own = settingsFor(provider, providers)?.budget;
      const why = excessOf(own, sums.filter((it) => it.provider === provider));
      if (why) found.set(provider, why);
    }
    return found;
  }
}

/** Else what is kept from one would be spent by the next. */
function withFallbacks(
  names: ReadonlySet<string>,
  providers: BudgetsParts["providers"],
): Set<string> {
  const all = new Set(names);
  for (const name of all) {
    const fallback = settingsFor(name, providers)?.fallback;
    if (fallback !== undefined) all.add(fallback);
  }
  return all;
}

/** What of a budget is spent; undefined where something is left. */
function excessOf(
  budget: Budget | undefined,
  sums: readonly UsageSum[],
): string | undefined {
  const { dayUsd = Infinity, tokensPerDay = Infinity } = budget ?? {};
  const usd = sums.reduce((sum, { costUsd }) => sum + costUsd, 0);
  const tokens = sums.reduce((sum, it) => sum + tokensOf(it), 0);
  if (usd >= dayUsd) return `the day's $${dayUsd} are spent`;
  if (tokens < tokensPerDay) return undefined;
  return `the day's ${formatCount(tokensPerDay)} tokens are used`;
}

/** The midnight before, or so many days after that, where this machine is. */
function midnight(now: Date, days: number): Date {
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() + days);
}
