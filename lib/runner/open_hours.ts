/**
 * The hours in which providers' tasks begin. What runs then goes on after them.
 *
 * @module
 */

import { HoursClock } from "../base/hours.ts";
import type { ProviderMap } from "./providers.ts";

/** The hours of all providers that have some. */
export class OpenHours {
  readonly #clocks: readonly (readonly [provider: string, HoursClock])[];

  constructor(providers: ProviderMap = new Map()) {
    this.#clocks = [...providers].flatMap(([name, { hours }]) =>
      hours ? [[name, new HoursClock(hours)] as const] : []
    );
  }

  /** A provider has some. */
  get isAny(): boolean {
    return this.#clocks.length > 0;
  }

  /** The providers whose tasks wait; with `*`, those that are not named. */
  closed(now: Date): ReadonlySet<string> {
    const closed = this.#clocks.filter(([, clock]) => !clock.isOn(now));
    return new Set(closed.map(([name]) => name));
  }

  /** When one of those goes on; undefined where that is never. */
  nextOpening(now: Date): Date | undefined {
    const times = this.#clocks.filter(([, clock]) => !clock.isOn(now))
      .flatMap(([, clock]) => clock.nextChange(now)?.getTime() ?? []);
    return times.length === 0 ? undefined : new Date(Math.min(...times));
  }
}
