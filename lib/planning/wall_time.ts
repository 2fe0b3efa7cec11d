/**
 * What clocks show in a time zone.
 *
 * @module
 */

/** What clocks show there: `2026-03-29`, `03:00`, `+02:00`. */
export interface WallTime {
  readonly date: string;
  readonly time: string;
  readonly offset: string;
}

/** What clocks show in a zone at a time, to the minute. */
export function wallTimeOf(time: Date, zone: string): WallTime {
  const parts = Object.fromEntries(
    formatOf(zone).formatToParts(time).map(({ type, value }) => [type, value]),
  );
  const { year = "", month, day, hour, minute, timeZoneName = "" } = parts;
  return {
    date: `${year.padStart(4, "0")}-${month}-${day}`,
    time: `${hour}:${minute}`,
    offset: timeZoneName.replace("GMT", "").slice(0, 6) || "+00:00",
  };
}

/** `2026-03-29T03:00+02:00` */
export function wholeTimeOf(time: Date, zone: string): string {
  const { date, time: wall, offset } = wallTimeOf(time, zone);
  return `${date}T${wall}${offset}`;
}

/** The time zone of this machine. */
export function machineZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** Making one takes longer than all the rest. */
const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(timeZone: string): Intl.DateTimeFormat {
  const format = formats.get(timeZone) ?? new Intl.DateTimeFormat("en-GB", {
    timeZone,
    calendar: "iso8601",
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    timeZoneName: "longOffset",
  });
  formats.set(timeZone, format);
  return format;
}
