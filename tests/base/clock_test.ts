import { assertEquals } from "@std/assert";
import { stub } from "@std/testing/mock";
import { systemClock } from "../../lib/base/clock.ts";
import { turn } from "../support/fake_clock.ts";

const DAY_MS = 86_400_000;
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Timers that a test ends itself. */
class Timers implements Disposable {
  readonly delays: number[] = [];
  #last: (() => void) | undefined;
  readonly #stub = stub(
    globalThis,
    "setTimeout",
    ((callback: () => void, ms: number) => {
      this.delays.push(ms);
      this.#last = callback;
      return 0;
    }) as unknown as typeof setTimeout,
  );

  endLast(): void {
    this.#last?.();
  }

  [Symbol.dispose](): void {
    this.#stub.restore();
  }
}

Deno.test("systemClock.sleep() waits longer than one timer can", async () => {
  let isDone = false;
  let sleep: Promise<void>;
  {
    using timers = new Timers();
    sleep = systemClock.sleep(60 * DAY_MS).then(() => {
      isDone = true;
    });
    timers.endLast();
    timers.endLast();
    await Promise.resolve();
    assertEquals(isDone, false);
    assertEquals(timers.delays, [
      MAX_TIMER_MS,
      MAX_TIMER_MS,
      60 * DAY_MS - 2 * MAX_TIMER_MS,
    ]);
    timers.endLast();
  }
  await sleep;
  assertEquals(isDone, true);
});

Deno.test("systemClock.sleep() of months ends at once where its signal aborts", async () => {
  const stop = new AbortController();
  const sleep = systemClock.sleep(60 * DAY_MS, stop.signal);
  await turn();
  stop.abort();
  await sleep; // A timer that is left fails this test.
});
