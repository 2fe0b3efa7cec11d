import { assertEquals } from "@std/assert";
import { parseHours } from "../../lib/base/hours.ts";
import { runLoop, runOnce } from "../../lib/runner.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { setUp, summary, takes } from "./set_up.ts";

const MINUTE = 60_000;
const START = new Date("2026-01-05T12:00:00Z");

function setUpNight(clock: FakeClock) {
  const hours = parseHours("12:10-12:20", "UTC")!;
  const providers = new Map([["night", { hours }], ["*", {}]]);
  const parts = setUp({
    clock,
    settings: { providers, leaseMs: 60 * MINUTE },
    process: takes(clock, 2 * MINUTE),
  });
  parts.queue.create({ provider: "night" }, { provider: "day" });
  return parts;
}

Deno.test("runLoop() begins tasks in their provider's hours, and lets them go on after", async () => {
  const clock = new FakeClock({ start: START });
  const { runner, queue, stop, drain } = setUpNight(clock);
  await using _ = runner;
  const count = (state: "created" | "running" | "completed") =>
    queue.idsIn(state).length;
  const add = () => {
    queue.create({ provider: "night" });
    queue.announce();
  };
  const done = runLoop(runner, stop);
  await clock.advance(9.9 * MINUTE);
  assertEquals([count("created"), count("completed")], [1, 1]);
  await clock.advance(0.2 * MINUTE);
  assertEquals(count("running"), 1);
  await clock.advance(8.9 * MINUTE);
  add();
  await clock.advance(1.5 * MINUTE);
  // It began before the end.
  assertEquals(count("running"), 1);
  await clock.advance(MINUTE);
  assertEquals(count("completed"), 3);
  add();
  await clock.advance(10 * MINUTE);
  assertEquals(count("created"), 1);
  drain.abort();
  assertEquals((await done).completed, 3);
});

Deno.test("runOnce() leaves what waits for its provider's hours", async () => {
  const clock = new FakeClock({ start: START });
  const { runner, queue, stop } = setUpNight(clock);
  await using _ = runner;
  const done = runOnce(runner, stop);
  await clock.advance(3 * MINUTE);
  assertEquals(await done, summary({ started: 1, completed: 1 }));
  assertEquals(queue.idsIn("created").length, 1);
});
