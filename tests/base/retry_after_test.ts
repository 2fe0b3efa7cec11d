import { assertEquals } from "@std/assert";
import { retryAfterMs } from "../../lib/base/retry_after.ts";

const NOW = new Date("2026-01-19T18:30:00Z");
const DAY_MS = 86_400_000;

const VALUES: readonly (readonly [string | null, number | undefined])[] = [
  ["0", 0],
  ["120", 120_000],
  [" 5 ", 5_000],
  ["Mon, 19 Jan 2026 18:30:30 GMT", 30_000],
  ["Monday, 19-Jan-26 18:30:30 GMT", 30_000],
  ["Mon, 19 Jan 2026 18:00:00 GMT", 0],
  ["99999999999", DAY_MS],
  ["Fri, 31 Dec 2100 00:00:00 GMT", DAY_MS],
  ["1.5", undefined],
  ["-5", undefined],
  ["2026", 2_026_000],
  ["soon", undefined],
  ["", undefined],
  [null, undefined],
];

for (const [value, ms] of VALUES) {
  Deno.test(`retryAfterMs() takes ${JSON.stringify(value)} for ${ms}`, () => {
    assertEquals(retryAfterMs(value, NOW), ms);
  });
}
