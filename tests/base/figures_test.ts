import { assertEquals } from "@std/assert";
import { formatBytes, formatSpan, parseSpan } from "../../lib/base/figures.ts";
import { windowOf } from "../../lib/cli/stats_report.ts";

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

Deno.test("formatBytes() writes three digits at most", () => {
  assertEquals(
    [0, 999, 1_000, 99_940, 99_960, 999_499, 999_500, 5e13].map(formatBytes),
    [
      "0 B",
      "999 B",
      "1.0 kB",
      "99.9 kB",
      "100 kB",
      "999 kB",
      "1.0 MB",
      "50.0 TB",
    ],
  );
});

const HOUR_MS = 3_600_000;

for (
  const [hours, bucketMs] of [
    [0.01, 60_000],
    [0.5, 60_000],
    [2, 600_000],
    [24, HOUR_MS],
    [47, HOUR_MS],
    [72, 24 * HOUR_MS],
    [24 * 30, 24 * HOUR_MS],
    [24 * 300, 7 * 24 * HOUR_MS],
    [24 * 365, 28 * 24 * HOUR_MS],
    [24 * 36_500, 364 * 24 * HOUR_MS],
  ] as const
) {
  Deno.test(
    `windowOf() divides ${hours} hours into parts of ${
      bucketMs / 60_000
    } minutes that begin where such parts do`,
    () => {
      const now = new Date(2026, 4, 17, 14, 20, 30);
      const since = new Date(now.getTime() - hours * HOUR_MS);
      const window = windowOf(since, now);
      assertEquals(window.bucketMs, bucketMs);
      const { start, buckets } = window;
      const end = start.getTime() + buckets * bucketMs;
      assertEquals(
        [start <= since, start.getTime() + bucketMs > since.getTime()],
        [true, true],
      );
      assertEquals(
        [end > now.getTime(), end - bucketMs <= now.getTime()],
        [true, true],
      );
      if (hours < 24 * 400) assertEquals(buckets <= 60, true, String(buckets));
      assertEquals(start.getSeconds(), 0);
      if (bucketMs === HOUR_MS) assertEquals(start.getMinutes(), 0);
      if (bucketMs === 24 * HOUR_MS) assertEquals(start.getHours(), 0);
    },
  );
}
