/**
 * When a server wants to be asked again: the `Retry-After` header of HTTP, see
 * RFC 9110, section 10.2.3.
 *
 * @module
 */

/** A server that wants more is asked after a day even so. */
const MAX_MS = 24 * 60 * 60 * 1_000;

/** A date has a time of day in it; `Date.parse` takes -5 for a year. */
const DATE = /\d\d:\d\d:\d\d/;

/**
 * Reads a header's value: seconds, or a date.
 *
 * @param now what a date is compared with
 * @returns milliseconds from 0 to a day; undefined where the value is neither,
 * or where there is none.
 */
export function retryAfterMs(
  value: string | null | undefined,
  now: Date,
): number | undefined {
  const text = value?.trim() ?? "";
  const ms = /^\d+$/.test(text)
    ? Number(text) * 1_000
    : Date.parse(DATE.test(text) ? text : "") - now.getTime();
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), MAX_MS);
}
