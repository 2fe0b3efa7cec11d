import { assert, assertEquals, assertThrows } from "@std/assert";
import { FieldError, Slots } from "../../lib/planning/slots.ts";
import { wallTimeOf, wholeTimeOf } from "../../lib/planning/wall_time.ts";
import { CronExpressionParser } from "./judge.ts";

const DAY = 86_400_000;
const START = new Date("2026-01-01T00:00:00Z");
const END = new Date("2028-01-01T00:00:00Z");

/** With and without daylight saving, on both halves of the earth, with odd offsets. */
const ZONES = [
  "UTC",
  "Europe/Berlin",
  "Europe/Dublin",
  "America/New_York",
  "America/Santiago",
  "America/St_Johns",
  "Asia/Kolkata",
  "Asia/Kathmandu",
  "Australia/Lord_Howe",
  "Pacific/Chatham",
];

const EXPRESSIONS = [
  "30 2 */3 * *",
  "0 0 * * 1,4",
  "15,45 9-17/4 1 */2 *",
  "0 12 13 * 5",
  "0 6 29 2 *",
  "59 23 31 * *",
  "*/20 1-3 * 3,4,9,10,11 0",
];

/** All slots of a time, as the runner finds them: one after the other. */
function slotsIn(cron: string, zone: string, start = START, end = END) {
  const slots = new Slots({ cron, zone });
  const found: Date[] = [];
  let [next] = slots.after(new Date(start.getTime() - 1), 1);
  while (next && next < end) {
    found.push(next);
    [next] = slots.after(next, 1);
  }
  return found;
}

/** The same by another implementation. */
function judged(cron: string, tz: string): Date[] {
  const found: Date[] = [];
  const currentDate = new Date(START.getTime() - 1);
  const parsed = CronExpressionParser.parse(cron, { tz, currentDate });
  for (;;) {
    const next = parsed.next().toDate();
    if (next >= END) return found;
    found.push(next);
  }
}

/** The first hours at which a zone's offset is another than an hour before. */
function changesIn(zone: string): Date[] {
  const changes: Date[] = [];
  const offset = (ms: number) => wallTimeOf(new Date(ms), zone).offset;
  for (let ms = START.getTime(); ms < END.getTime(); ms += DAY) {
    if (offset(ms) === offset(ms + DAY)) continue;
    let change = ms;
    while (offset(change) === offset(ms)) change += DAY / 48;
    changes.push(new Date(change));
  }
  return changes;
}

const isNear = (time: Date, changes: readonly Date[]) =>
  changes.some((it) => Math.abs(it.getTime() - time.getTime()) < 4 * DAY / 24);

const texts = (times: readonly Date[]) => times.map((it) => it.toISOString());

for (const zone of ZONES) {
  Deno.test(`slots of two years in ${zone} are those of another implementation`, () => {
    const changes = changesIn(zone);
    for (const cron of EXPRESSIONS) {
      const ours = slotsIn(cron, zone).filter((it) => !isNear(it, changes));
      const theirs = judged(cron, zone).filter((it) => !isNear(it, changes));
      assertEquals(texts(ours), texts(theirs), cron);
    }
  });
}

/** What a clock shows at each minute of the days of a change. */
function minutesAround(change: Date, zone: string) {
  const dates = [change, new Date(change.getTime() - 60_000)]
    .map((it) => wallTimeOf(it, zone).date);
  return Array.from({ length: 2 * 1_500 }, (_, index) => {
    const time = new Date(change.getTime() + (index - 1_500) * 60_000);
    return { at: time, ...wallTimeOf(time, zone) };
  }).filter(({ date }) => dates.includes(date));
}

/** Each quarter of the hours in which clocks are changed: `02:15`. */
const QUARTERS = Array.from({ length: 96 }, (_, index) => {
  const hour = String(Math.floor(index / 4)).padStart(2, "0");
  return `${hour}:${String(index % 4 * 15).padStart(2, "0")}`;
}).filter((quarter) => quarter < "05:00" || quarter >= "22:00");

for (const zone of ZONES) {
  Deno.test(`slots at the changes of the clock in ${zone} are as documented`, () => {
    const changes = changesIn(zone);
    const hasNone = /UTC|Kolkata|Kathmandu/.test(zone);
    assertEquals(changes.length, hasNone ? 0 : 4);
    for (const change of changes.slice(0, 2)) {
      const minutes = minutesAround(change, zone);
      const end = new Date(minutes.at(-1)!.at.getTime() + 1);
      const found = (cron: string) =>
        texts(slotsIn(cron, zone, minutes[0]!.at, end));
      // With a step, real time counts: none twice, none left out.
      assertEquals(
        found("*/15 * * * *"),
        texts(
          minutes.filter(({ time }) => Number(time.slice(3)) % 15 === 0)
            .map(({ at }) => at),
        ),
      );
      // Once a day: the first such time, or the end of the gap.
      for (const quarter of QUARTERS) {
        const [hour, minute] = quarter.split(":").map(Number);
        const firsts = [...Map.groupBy(minutes, ({ date }) => date).values()]
          .map((day) => day.find(({ time }) => time >= quarter)?.at);
        assertEquals(
          found(`${minute} ${hour} * * *`),
          texts(firsts.filter((it) => it !== undefined)),
          `${quarter} ${change.toISOString()}`,
        );
      }
    }
  });
}

Deno.test("slots of a list of hours count as fixed times", () => {
  assertEquals(
    texts(slotsIn(
      "30 1,2,14 * * *",
      "Europe/Berlin",
      new Date("2026-10-24T22:00:00Z"),
      new Date("2026-10-25T23:00:00Z"),
    )),
    [
      "2026-10-24T23:30:00.000Z",
      "2026-10-25T00:30:00.000Z",
      "2026-10-25T13:30:00.000Z",
    ],
  );
});

const BETWEEN = { until: new Date("2026-03-10T00:00:00Z"), most: 4 };

for (const timing of [{ cron: "0 0 * * *" }, { every: "24h" }]) {
  Deno.test(`Slots.between() gives the last ones of ${JSON.stringify(timing)}`, () => {
    const slots = new Slots({ ...timing, zone: "UTC" });
    const days = (after: string, most: number, until = BETWEEN.until) =>
      slots.between(new Date(after), { until, most })
        .map((it) => it.toISOString().slice(5, 16));
    assertEquals(days("2026-03-08T00:00:00Z", 4), [
      ...["03-09T00:00", "03-10T00:00"],
    ]);
    assertEquals(days("2026-03-08T00:00:00Z", 1), ["03-10T00:00"]);
    assertEquals(days("2026-03-10T00:00:00Z", 4), []);
    assertEquals(days("2026-04-01T00:00:00Z", 4), []);
    assertEquals(days("2026-02-01T00:00:00Z", 3), [
      ...["03-08T00:00", "03-09T00:00", "03-10T00:00"],
    ]);
    const before = new Date(BETWEEN.until.getTime() - 1);
    assertEquals(days("2020-01-01T00:00:00Z", 1, before), ["03-09T00:00"]);
    assertEquals(days("2026-02-20T00:00:00Z", 1_000).length, 18);
  });
}

Deno.test("Slots of a span are counted from 1970 on, whatever the zone", () => {
  const slots = new Slots({ every: "90m", zone: "Asia/Kathmandu" });
  const after = new Date("2026-01-01T00:00:00Z");
  assertEquals(texts(slots.after(after, 2)), [
    ...["2026-01-01T01:30:00.000Z", "2026-01-01T03:00:00.000Z"],
  ]);
});

const MISTAKES: [timing: Record<string, string>, field: string, RegExp][] = [
  [{ cron: "0 2 * *" }, "cron", /expected five fields/],
  [{ cron: "0 0 2 * * *" }, "cron", /expected five fields/],
  [{ cron: "@daily" }, "cron", /expected five fields/],
  [{ cron: "2026-01-01T00:00" }, "cron", /expected five fields/],
  [{ cron: "60 2 * * *" }, "cron", /but Invalid value for minute: 60\.$/],
  [{ cron: "0 2 * * MOON" }, "cron", /expected a cron expression, but/],
  [{ cron: "0 0 30 2 *" }, "cron", /expected a time that comes at some time/],
  [{ cron: "0 0 31 4,6 *" }, "cron", /a time that comes at some time/],
  [{ cron: "0 2 * * *", zone: "Europe/Berln" }, "zone", /a time zone like/],
  [{ every: "2h", zone: "" }, "zone", /a time zone like/],
  [{ every: "30s" }, "every", /a span of a minute or more, like 2h/],
  [{ every: "often" }, "every", /a span of a minute or more/],
];

for (const [timing, field, message] of MISTAKES) {
  Deno.test(`Slots refuses ${JSON.stringify(timing)}`, () => {
    const error = assertThrows(
      () => new Slots({ zone: "UTC", ...timing }),
      FieldError,
    );
    assertEquals(error.field, field);
    assert(message.test(error.message), error.message);
  });
}

Deno.test("wholeTimeOf() is what clocks show in the zone", () => {
  const time = new Date("2026-10-25T00:30:00Z");
  const shown = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"]
    .map((zone) => wholeTimeOf(time, zone));
  assertEquals(shown, [
    "2026-10-25T00:30+00:00",
    "2026-10-25T02:30+02:00",
    "2026-10-25T06:15+05:45",
    "2026-10-24T22:00-02:30",
  ]);
});
