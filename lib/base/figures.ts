/**
 * Spans of time, sizes and counts as people write and read them.
 *
 * @module
 */

/** `512 B`, `1.5 MB`. */
export { format as formatBytes } from "@std/fmt/bytes";

const UNITS_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** A hundred years: more is a slip of the finger, and no date. */
const MAX_MS = 36_525 * 86_400_000;

/** What a number alone counts, in milliseconds. */
const NUMBERS_MS = { seconds: 1_000, days: 86_400_000 };

/** Which durations are taken. */
export interface DurationForm {
  /** What a number alone counts, and `min` and `max` do. @default {"seconds"} */
  readonly unit?: keyof typeof NUMBERS_MS;
  /** @default {0} */
  readonly min?: number;
  /** @default {what the code can hold} */
  readonly max?: number;
}

/** A text that may be a duration. */
export const DURATION = /^\s*(\d+(?:\.\d+)?|\.\d+)\s*([smhdw])?\s*$/;

function msOf(text: string, numberMs = NaN): number {
  const [, number, unit] = DURATION.exec(text) ?? [];
  return Number(number) * (unit ? UNITS_MS[unit]! : numberMs);
}

/**
 * Reads `90s`, `15m`, `24h`, `7d` or `2w`, in milliseconds.
 *
 * @returns undefined where the text is none of these, or 0.
 */
export function parseSpan(text: string): number | undefined {
  const ms = Math.round(msOf(text));
  return ms > 0 && ms <= MAX_MS ? ms : undefined;
}

/** The largest number of its unit that a duration may be. */
export function maxDuration({ unit = "seconds", max }: DurationForm): number {
  return max ?? Math.floor(Number.MAX_SAFE_INTEGER / NUMBERS_MS[unit]);
}

/**
 * Reads `90`, `90s`, `15m`, `24h`, `7d` or `2w`, in milliseconds.
 *
 * @returns undefined where the text is none of these, or too short or too long.
 */
export function parseDuration(
  text: string,
  form: DurationForm = {},
): number | undefined {
  const { unit = "seconds", min = 0 } = form;
  const ms = msOf(text, NUMBERS_MS[unit]);
  const isFit = ms >= min * NUMBERS_MS[unit] &&
    ms <= maxDuration(form) * NUMBERS_MS[unit];
  return isFit ? Math.round(ms) : undefined;
}

/**
 * What a duration should be. The longest one is said where `given` exceeds it.
 */
export function expectedDuration(form: DurationForm, given: unknown): string {
  const { unit = "seconds", min = 0 } = form;
  const max = maxDuration(form);
  const givenMs = typeof given === "number"
    ? given * NUMBERS_MS[unit]
    : msOf(String(given), NUMBERS_MS[unit]);
  const isTooLong = givenMs > max * NUMBERS_MS[unit] && givenMs < Infinity;
  return `a number of ${unit}, ${min} ${
    isTooLong ? `to ${max}` : "or more"
  }, or a duration like 90s, 15m, 24h or 7d`;
}

/** `0.4 s`, `12 s`, `3m 20s`, `2h 5m` or `3d 4h`; `12 ms` below a tenth. */
export function formatSpan(ms: number): string {
  if (ms < 99.5) return `${Math.round(ms)} ms`;
  if (ms < 9_950) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 59_500) return `${Math.round(ms / 1_000)} s`;
  const pair = (big: number, small: number, names: string) => {
    const total = Math.round(ms / small);
    const ratio = big / small;
    return `${Math.floor(total / ratio)}${names[0]} ${total % ratio}${
      names[1]
    }`;
  };
  if (ms < 3_599_500) return pair(60_000, 1_000, "ms");
  if (ms < 86_370_000) return pair(3_600_000, 60_000, "hm");
  return pair(86_400_000, 3_600_000, "dh");
}

/** `1,234,567` */
export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}

/** `1 task`, `1,234 tasks` */
export function countOf(count: number, word: string): string {
  return `${formatCount(count)} ${word}${count === 1 ? "" : "s"}`;
}
