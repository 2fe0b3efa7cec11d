import { assertEquals } from "@std/assert";
import {
  formatSpan,
  parseDuration,
  parseSpan,
} from "../../lib/base/figures.ts";

const SPANS: readonly (readonly [string, number | undefined])[] = [
  ["90s", 90_000],
  ["15m", 900_000],
  ["1.5h", 5_400_000],
  ["7d", 604_800_000],
  [" 2 w ", 1_209_600_000],
  ["0d", undefined],
  ["-1d", undefined],
  ["1", undefined],
  ["d", undefined],
  ["1M", undefined],
  ["1d1h", undefined],
  ["1e3d", undefined],
  ["99999999w", undefined],
];

for (const [text, ms] of SPANS) {
  Deno.test(`parseSpan() reads "${text}" as ${ms}`, () => {
    assertEquals(parseSpan(text), ms);
  });
}

Deno.test("parseDuration() takes a number for its unit, within its bounds", () => {
  const form = { unit: "days", min: 0.5, max: 2 } as const;
  const texts = ["0.5", "12h", "11h", "2", "48h", "49h", "x"];
  assertEquals(texts.map((text) => parseDuration(text, form)), [
    ...[43_200_000, 43_200_000, undefined],
    ...[172_800_000, 172_800_000, undefined, undefined],
  ]);
});

const FORMATTED: readonly (readonly [number, string])[] = [
  [0, "0 ms"],
  [99.4, "99 ms"],
  [99.6, "0.1 s"],
  [9_949, "9.9 s"],
  [9_951, "10 s"],
  [59_499, "59 s"],
  [59_500, "1m 0s"],
  [200_000, "3m 20s"],
  [3_599_499, "59m 59s"],
  [3_599_500, "1h 0m"],
  [7_500_000, "2h 5m"],
  [86_369_999, "23h 59m"],
  [86_370_000, "1d 0h"],
  [273_600_000, "3d 4h"],
];

for (const [ms, text] of FORMATTED) {
  Deno.test(`formatSpan() writes ${ms} ms as "${text}"`, () => {
    assertEquals(formatSpan(ms), text);
  });
}
