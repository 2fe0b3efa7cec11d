import { assert, assertEquals } from "@std/assert";
import { HoursClock, isZone, parseHours } from "../../lib/base/hours.ts";

function clockOf(text: string, zone = "UTC"): HoursClock {
  const hours = parseHours(text, zone);
  assert(hours, text);
  return new HoursClock(hours);
}

/** When it changes between two times, as UTC to the minute. */
function changesOf(
  clock: HoursClock,
  { from, to }: { readonly from: string; readonly to: string },
): string[] {
  const changes: string[] = [];
  let at: Date | undefined = new Date(`${from}Z`);
  while ((at = clock.nextChange(at)) && at < new Date(`${to}Z`)) {
    const sign = clock.isOn(at) ? "+" : "-";
    changes.push(sign + at.toISOString().slice(5, 16));
  }
  return changes;
}

Deno.test("parseHours() reads a time of the day, of some days, and what is not in it", () => {
  for (
    const text of [
      "22:00-07:00",
      "not 09:00-17:00",
      "Mon-Fri 18:00-24:00",
      "sun 00:00-01:00",
    ]
  ) assert(parseHours(text), text);
  for (
    const text of [
      "",
      "9-17",
      "24:00-01:00",
      "09:00-09:00",
      "09:60-10:00",
      "moon 01:00-02:00",
      "00:00-24:01",
      "not",
    ]
  ) assertEquals(parseHours(text), undefined, text);
});

Deno.test("isZone() knows what this machine knows", () => {
  assertEquals(["UTC", "Australia/Lord_Howe", "Mars/Olympus"].map(isZone), [
    ...[true, true, false],
  ]);
});

Deno.test("HoursClock says when it is on over midnight, and when it is not", () => {
  const night = { from: "2026-01-05T12:00", to: "2026-01-07T12:00" };
  assertEquals(changesOf(clockOf("22:00-07:00"), night), [
    ...["+01-05T22:00", "-01-06T07:00", "+01-06T22:00", "-01-07T07:00"],
  ]);
  assertEquals(changesOf(clockOf("not 22:00-07:00"), night), [
    ...["-01-05T22:00", "+01-06T07:00", "-01-06T22:00", "+01-07T07:00"],
  ]);
  // A few minutes, and all but these.
  assertEquals(changesOf(clockOf("09:58-10:03"), night), [
    ...["+01-06T09:58", "-01-06T10:03", "+01-07T09:58", "-01-07T10:03"],
  ]);
  assertEquals(changesOf(clockOf("10:03-09:58"), night), [
    ...["-01-06T09:58", "+01-06T10:03", "-01-07T09:58", "+01-07T10:03"],
  ]);
});

Deno.test("HoursClock counts a span to the day on which it begins", () => {
  // 2026-01-02 is a Friday.
  const week = { from: "2026-01-02T12:00", to: "2026-01-06T12:00" };
  assertEquals(changesOf(clockOf("fri 22:00-07:00"), week), [
    ...["+01-02T22:00", "-01-03T07:00"],
  ]);
  assertEquals(changesOf(clockOf("not mon-fri 09:00-17:00"), week), [
    ...["+01-02T17:00", "-01-05T09:00", "+01-05T17:00", "-01-06T09:00"],
  ]);
  assertEquals(changesOf(clockOf("sat-sun 00:00-24:00"), week), [
    ...["+01-03T00:00", "-01-05T00:00"],
  ]);
});

for (
  const [zone, text, span, changes] of [
    // 02:00 to 03:00 is not there, and is there twice.
    ["Europe/Berlin", "22:00-02:30", ["2026-03-28T12:00", "2026-03-29T12:00"], [
      ...["+03-28T21:00", "-03-29T01:00"],
    ]],
    [
      "Europe/Berlin",
      "02:00-03:00",
      ["2026-03-28T12:00", "2026-03-29T12:00"],
      [],
    ],
    ["Europe/Berlin", "22:00-07:00", ["2026-10-24T12:00", "2026-10-25T12:00"], [
      ...["+10-24T20:00", "-10-25T06:00"],
    ]],
    ["Europe/Berlin", "02:00-03:00", ["2026-10-24T12:00", "2026-10-25T12:00"], [
      ...["+10-25T00:00", "-10-25T02:00"],
    ]],
    ["America/New_York", "not 09:00-17:00", [
      "2026-03-08T00:00",
      "2026-03-09T00:00",
    ], [
      ...["-03-08T13:00", "+03-08T21:00"],
    ]],
    ["America/New_York", "not 09:00-17:00", [
      "2026-11-01T00:00",
      "2026-11-02T00:00",
    ], [
      ...["-11-01T14:00", "+11-01T22:00"],
    ]],
    // By half an hour: from +10:30 to +11:00, and back.
    ["Australia/Lord_Howe", "22:00-07:00", [
      "2026-10-03T06:00",
      "2026-10-04T06:00",
    ], [
      ...["+10-03T11:30", "-10-03T20:00"],
    ]],
    ["Australia/Lord_Howe", "01:15-02:15", [
      "2026-04-04T06:00",
      "2026-04-05T06:00",
    ], [
      ...["+04-04T14:15", "-04-04T15:45"],
    ]],
  ] as const
) {
  Deno.test(`HoursClock keeps to the clock on the wall: ${text} in ${zone}, ${span[0]}`, () => {
    const [from, to] = span;
    assertEquals(changesOf(clockOf(text, zone), { from, to }), [...changes]);
  });
}

Deno.test("HoursClock goes on after an hour that the clocks leave out", () => {
  const clock = clockOf("sun 02:00-03:00", "Europe/Berlin");
  const later = (day: string) => new Date(`${day}Z`);
  assertEquals(clock.isOn(later("2026-03-22T02:30")), false);
  assertEquals(
    clock.nextChange(later("2026-03-22T02:30")),
    later("2026-04-05T00:00"),
  );
  assertEquals(clock.isOn(later("2026-04-05T00:30")), true);
  assertEquals(clock.isOn(later("2027-01-10T01:30")), true);
});

Deno.test("HoursClock has no next change where there is none", () => {
  const clock = clockOf("not 00:00-24:00");
  const at = new Date("2026-03-22T02:30Z");
  assertEquals([clock.isOn(at), clock.nextChange(at)], [false, undefined]);
});
