// @ts-check
/** Numbers and times for people. */

const UNITS = /** @type {const} */ ([
  [86_400, "d"],
  [3_600, "h"],
  [60, "m"],
]);

/**
 * `45s`, `3m`, `2h`, `9d`
 *
 * @param {number} seconds
 */
export function span(seconds) {
  for (const [size, unit] of UNITS) {
    if (seconds >= size) return `${Math.floor(seconds / size)}${unit}`;
  }
  return `${Math.max(0, Math.floor(seconds))}s`;
}

/**
 * `3m ago`, `in 2h`
 *
 * @param {string} iso
 * @param {number} [now]
 */
export function relative(iso, now = Date.now()) {
  const seconds = (now - Date.parse(iso)) / 1_000;
  if (Number.isNaN(seconds)) return iso;
  if (seconds < -1) return `in ${span(-seconds)}`;
  return seconds < 2 ? "now" : `${span(seconds)} ago`;
}

/**
 * A length of time in plots: `340 ms`, `2.1 s`, `4 m 10 s`, `1.5 h`
 *
 * @param {number} seconds
 */
export function duration(seconds) {
  if (seconds === 0) return "0 s";
  if (seconds < 1) return `${Math.round(seconds * 1_000)} ms`;
  if (seconds < 10) return `${trimmed(seconds, 1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3_600) return `${trimmed(seconds / 60, 1)} min`;
  if (seconds < 86_400) return `${trimmed(seconds / 3_600, 1)} h`;
  return `${trimmed(seconds / 86_400, 1)} d`;
}

/**
 * @param {number} value
 * @param {number} digits
 */
function trimmed(value, digits) {
  return String(Number(value.toFixed(digits)));
}

const WHOLE = new Intl.NumberFormat("en");
const COMPACT = new Intl.NumberFormat("en", {
  notation: "compact",
  maximumFractionDigits: 1,
});

/**
 * `12,345`
 *
 * @param {number} value
 */
export function count(value) {
  return WHOLE.format(value);
}

/**
 * `12.3K`: where there is little room.
 *
 * @param {number} value
 */
export function compact(value) {
  return value < 100_000 ? WHOLE.format(value) : COMPACT.format(value);
}

/**
 * `1 task`, `2 tasks`
 *
 * @param {number} value
 * @param {string} noun
 */
export function plural(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/**
 * `14:05`
 *
 * @param {Date} date
 */
export function time(date) {
  return date.toLocaleTimeString([], {
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
}

/**
 * `Nov 23`
 *
 * @param {Date} date
 */
export function day(date) {
  return date.toLocaleDateString([], { month: "short", day: "numeric" });
}

/**
 * `14:05`, or with the day where it is not today's.
 *
 * @param {Date} date
 */
export function clock(date) {
  return date.toDateString() === new Date().toDateString()
    ? time(date)
    : `${day(date)}, ${time(date)}`;
}
