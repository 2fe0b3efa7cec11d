/**
 * Times of the day, by the clock on the wall of a time zone.
 *
 * @module
 */

/** When something is on: `22:00-07:00`, `not mon-fri 09:00-17:00`. */
export interface Hours {
  /** As it was given. */
  readonly text: string;
  /** Minutes of the day. Where the end is not after the start, it is on the next day. */
  readonly from: number;
  readonly to: number;
  /** On which days it begins, from Sunday. */
  readonly days: readonly boolean[];
  /** It is on at all other times. */
  readonly isInverted: boolean;
  /** Undefined: where this machine is. */
  readonly zone: string | undefined;
}

const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const DAY = `(${DAYS.join("|")})`;
const TIME = "([01]\\d|2[0-3]):([0-5]\\d)";
const FORM = new RegExp(
  `^(not )?(?:${DAY}(?:-${DAY})? )?${TIME}-(?:${TIME}|(24):(00))$`,
);

/** Reads such a text; undefined where it is none. */
export function parseHours(text: string, zone?: string): Hours | undefined {
  const match = FORM.exec(text.trim().toLowerCase());
  if (!match) return undefined;
  const [, not, first, last = first, h, m, toH, toM, h24] = match;
  const from = Number(h) * 60 + Number(m);
  const to = h24 ? DAY_MINUTES : Number(toH) * 60 + Number(toM);
  if (from === to) return undefined;
  return {
    ...{ text: text.trim(), from, to, isInverted: not !== undefined, zone },
    days: DAYS.map((_, day) =>
      first === undefined ||
      isBetween(day, DAYS.indexOf(first), DAYS.indexOf(last ?? first))
    ),
  };
}

const DAY_MINUTES = 24 * 60;

/** Over the end of the week too. */
function isBetween(day: number, first: number, last: number): boolean {
  return first <= last
    ? first <= day && day <= last
    : day >= first || day <= last;
}

/** Whether a text names a time zone. */
export function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat("en-US", { timeZone: zone });
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

const MINUTE_MS = 60_000;
/** Clocks are set by multiples of that, at one. */
const STEP_MS = 15 * MINUTE_MS;
/** A week has all there is, but for an hour that the clocks leave out. */
const LONGEST_MS = 15 * 86_400_000;

/** Says whether it is on, and until when. Asked often, it looks once for each change. */
export class HoursClock {
  readonly #hours: Hours;
  readonly #format: Intl.DateTimeFormat;
  /** What holds from then to then, in milliseconds since 1970. */
  #known = { from: Infinity, to: -Infinity, isOn: false, isChange: false };

  constructor(hours: Hours) {
    this.#hours = hours;
    this.#format = new Intl.DateTimeFormat("en-US", {
      timeZone: hours.zone,
      hourCycle: "h23",
      weekday: "short",
      hour: "2-digit",
      minute: "2-digit",
    });
  }

  /** Whether it is on at that time. */
  isOn(at: Date): boolean {
    return this.#at(at.getTime()).isOn;
  }

  /** When that changes next; undefined: never. */
  nextChange(at: Date): Date | undefined {
    const { to, isChange } = this.#at(at.getTime());
    return isChange ? new Date(to) : undefined;
  }

  #at(ms: number) {
    const { from, to } = this.#known;
    if (ms < from || ms >= to) this.#known = this.#look(ms);
    return this.#known;
  }

  #look(from: number) {
    const isOn = this.#isOn(from);
    const span = this.#hours.to - this.#hours.from;
    const shortest = (span + DAY_MINUTES) % DAY_MINUTES || DAY_MINUTES;
    const step = Math.min(
      STEP_MS,
      Math.min(shortest, DAY_MINUTES - shortest || shortest) * MINUTE_MS,
    );
    const first = Math.floor(from / step) * step + step;
    for (let at = first; at <= from + LONGEST_MS; at += step) {
      if (this.#isOn(at) !== isOn) {
        const to = this.#changeIn(at - step, at);
        return { from, to, isOn, isChange: true };
      }
    }
    return { from, to: from + LONGEST_MS, isOn, isChange: false };
  }

  /** The minute in which it changes. */
  #changeIn(before: number, after: number): number {
    let [low, high] = [before, after].map((it) => Math.floor(it / MINUTE_MS));
    if (low === undefined || high === undefined) return after;
    const isOn = this.#isOn(after);
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (this.#isOn(middle * MINUTE_MS) === isOn) high = middle;
      else low = middle;
    }
    return high * MINUTE_MS;
  }

  #isOn(ms: number): boolean {
    const { from, to, days, isInverted } = this.#hours;
    const parts = new Map(
      this.#format.formatToParts(ms).map(({ type, value }) => [type, value]),
    );
    const minute = Number(parts.get("hour")) * 60 + Number(parts.get("minute"));
    const day = DAYS.indexOf((parts.get("weekday") ?? "").toLowerCase());
    const isToday = days[day] ?? false;
    const isFromYesterday = days[(day + 6) % 7] ?? false;
    const isIn = from < to
      ? isToday && from <= minute && minute < to
      : isToday && minute >= from || isFromYesterday && minute < to;
    return isIn !== isInverted;
  }
}
