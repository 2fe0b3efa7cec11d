import { assertEquals } from "@std/assert";
import { windowOf } from "../../lib/cli/stats.ts";

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
