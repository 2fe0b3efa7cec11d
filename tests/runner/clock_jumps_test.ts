import { assertEquals } from "@std/assert";
import type { Clock } from "../../lib/base/clock.ts";
import { ClockJumps } from "../../lib/runner/clock_jumps.ts";

const LEASE_MS = 60_000;
const START = 1_000_000_000_000;

/** A clock whose two times are set apart from each other. */
function clockAt(times: { wall: number; monotonic: number }): Clock {
  return {
    now: () => new Date(START + times.wall),
    monotonic: () => times.monotonic,
    sleep: () => Promise.resolve(),
  };
}

/** The cutoff in milliseconds since the start, after each step of the clock. */
function cutoffsOf(
  steps: readonly { wall: number; monotonic: number }[],
): number[] {
  const times = { wall: 0, monotonic: 0 };
  const jumps = new ClockJumps(clockAt(times), LEASE_MS);
  return steps.map((step) => {
    Object.assign(times, step);
    return jumps.leaseCutoff(new Date(START + step.wall)).getTime() - START;
  });
}

Deno.test("leaseCutoff() is now while the clock only runs", () => {
  assertEquals(
    cutoffsOf([
      { wall: 5_000, monotonic: 5_000 },
      { wall: 3_605_400, monotonic: 3_605_000 },
    ]),
    [5_000, 3_605_400],
  );
});

Deno.test("leaseCutoff() is what the clock would say, for one lease after a jump forward", () => {
  assertEquals(
    cutoffsOf([
      { wall: 3_600_000 + 1_000, monotonic: 1_000 },
      { wall: 3_600_000 + 60_999, monotonic: 60_999 },
      { wall: 3_600_000 + 61_000, monotonic: 61_000 },
    ]),
    [1_000, 60_999, 3_661_000],
  );
});

Deno.test("leaseCutoff() is now after a jump back", () => {
  assertEquals(cutoffsOf([{ wall: -50_000, monotonic: 10_000 }]), [-50_000]);
});

Deno.test("leaseCutoff() is of before the time in which nobody could renew a lease, for one lease", () => {
  const times = { wall: 0, monotonic: 0 };
  const jumps = new ClockJumps(clockAt(times), LEASE_MS);
  const cutoffAt = (ms: number) => {
    Object.assign(times, { wall: ms, monotonic: ms });
    return jumps.leaseCutoff(new Date(START + ms)).getTime() - START;
  };
  assertEquals(cutoffAt(90_000), 90_000);
  jumps.heldUp(90_000);
  assertEquals(cutoffAt(91_000), 1_000);
  assertEquals(cutoffAt(149_000), 59_000);
  assertEquals(cutoffAt(150_000), 150_000);
});
