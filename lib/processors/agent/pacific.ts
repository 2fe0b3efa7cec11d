/**
 * Midnight at the Pacific, when Google's daily quotas begin anew.
 *
 * @module
 */

const DAY_MS = 86_400_000;

const CLOCK = new Intl.DateTimeFormat("en", {
  timeZone: "America/Los_Angeles",
  hourCycle: "h23",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

/** The next midnight there. */
export function nextPacificMidnight(now: Date): Date {
  const near = now.getTime() - timeOfDayMs(now) + DAY_MS;
  // That day may have 23 or 25 hours.
  const past = timeOfDayMs(new Date(near));
  return new Date(near - (past > DAY_MS / 2 ? past - DAY_MS : past));
}

/** What the clocks there show, since midnight. */
function timeOfDayMs(time: Date): number {
  const shown = CLOCK.formatToParts(time);
  const part = (type: string) =>
    Number(shown.find((it) => it.type === type)?.value ?? 0);
  return (part("hour") * 3_600 + part("minute") * 60 + part("second")) *
      1_000 + time.getUTCMilliseconds();
}
