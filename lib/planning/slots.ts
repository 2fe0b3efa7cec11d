/**
 * The slots of a schedule: the times at which it makes a task. Pure.
 *
 * A cron expression is read in a time zone. Where a clock is put back, a time that
 * comes twice is one slot, the first; where it is put forward, a time that is left
 * out is a slot at the end of the gap. Not so where minute or hour has a `*` or a
 * step: then real time counts, and a job of each hour runs each hour.
 *
 * A span is counted from 1970 on, in UTC: so all runners agree, whenever they began.
 *
 * @module
 */

import { Cron } from "croner";
import { UsageError } from "../base/errors.ts";
import { parseSpan } from "../base/figures.ts";
import type { Timing } from "./definition.ts";

/** What is wrong with one field of a schedule. */
export class FieldError extends UsageError {
  override readonly name = "FieldError";

  constructor(
    readonly field: string,
    readonly value: unknown,
    readonly expected: string,
  ) {
    const what = value === undefined
      ? `a schedule without ${field}`
      : `the ${field} ${JSON.stringify(value)} of a schedule`;
    super(`Cannot use ${what}: expected ${expected}.`);
  }
}

const FIVE_FIELDS = /^\S+( +\S+){4}$/;
const SHORTEST_MS = 60_000;
/** Any: what comes once in four years comes after it. */
const LONG_AGO = new Date("2000-01-01T00:00:00Z");
/** So many are looked for one by one before the last ones are looked for. */
const FEW = 10;

/** The slots of a {@linkcode Timing}. */
export class Slots {
  readonly #cron: Cron | undefined;
  readonly #everyMs: number;

  /** @throws {FieldError} that says what is wrong. */
  constructor({ cron, every, zone }: Timing) {
    assertZone(zone);
    this.#cron = cron === undefined ? undefined : cronOf(cron, zone);
    this.#everyMs = cron === undefined ? msOf(every) : 0;
  }

  /** The next slots after a time, at most so many. */
  after(time: Date, most: number): Date[] {
    if (this.#cron) return this.#cron.nextRuns(most, time);
    const ms = this.#everyMs;
    const first = Math.floor(time.getTime() / ms) + 1;
    return Array.from({ length: most }, (_, n) => new Date((first + n) * ms));
  }

  /** The last slots after a time, up to another, at most so many, oldest first. */
  between(
    after: Date,
    { until, most }: { readonly until: Date; readonly most: number },
  ): Date[] {
    const first = this.after(after, FEW);
    const few = first.filter((it) => it <= until);
    if (few.length < FEW) return few.slice(-most);
    return this.#lastUntil(until, most).filter((it) => it > after);
  }

  #lastUntil(until: Date, most: number): Date[] {
    if (this.#cron) {
      // It tells those before a time, in whole seconds.
      const next = Math.floor(until.getTime() / 1_000 + 1) * 1_000;
      return this.#cron.previousRuns(most, new Date(next)).reverse();
    }
    const ms = this.#everyMs;
    const last = Math.floor(until.getTime() / ms);
    return Array.from(
      { length: most },
      (_, n) => new Date((last - most + 1 + n) * ms),
    );
  }
}

function assertZone(zone: string): void {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
  } catch {
    throw new FieldError("zone", zone, "a time zone like Europe/Berlin or UTC");
  }
}

function cronOf(text: string, timezone: string): Cron {
  const wrong = (expected: string) => new FieldError("cron", text, expected);
  if (!FIVE_FIELDS.test(text)) {
    throw wrong(
      'five fields, minute, hour, day, month and weekday, like "0 2 * * 1-5"',
    );
  }
  try {
    const cron = new Cron(text, {
      timezone,
      mode: "5-part",
      paused: true,
      fixedTimeRule: "no-wildcard",
    });
    if (cron.nextRun(LONG_AGO)) return cron;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw wrong(
      `a cron expression, but ${why.replace(/^\w+: /, "").replace(/\.$/, "")}`,
    );
  }
  throw wrong("a time that comes at some time");
}

function msOf(every: string | undefined): number {
  const ms = every === undefined ? undefined : parseSpan(every);
  if (ms !== undefined && ms >= SHORTEST_MS) return ms;
  throw new FieldError("every", every, "a span of a minute or more, like 2h");
}
