import { assert, assertEquals } from "@std/assert";
import { backoffMs } from "../../lib/base/backoff.ts";

const OPTIONS = { baseMs: 1_000, maxMs: 60_000 };

const FULL: [attempt: number, ms: number][] = [
  [0, 1_000],
  [1, 1_000],
  [2, 2_000],
  [3, 4_000],
  [6, 32_000],
  [7, 60_000],
  [5_000, 60_000],
];

for (const [attempt, ms] of FULL) {
  Deno.test(`backoffMs() draws from ${ms / 2} to ${ms} after attempt ${attempt}`, () => {
    const drawn = [0, 0.5, 1].map((n) =>
      backoffMs(attempt, { ...OPTIONS, random: () => n })
    );
    assertEquals(drawn, [ms / 2, ms * 0.75, ms]);
  });
}

Deno.test("backoffMs() draws anew each time", () => {
  const drawn = Array.from({ length: 20 }, () => backoffMs(3, OPTIONS));
  assert(new Set(drawn).size > 1);
  assert(drawn.every((ms) => ms >= 2_000 && ms <= 4_000), `${drawn}`);
});
