import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { settled, track } from "../../lib/base/under_way.ts";
import { FakeClock, turn } from "../support/fake_clock.ts";

const LIMIT_MS = 60_000;

/** Whether it has settled by now, for whoever waits on. */
function follow(waiting: Promise<boolean>): { result: boolean | undefined } {
  const followed: { result: boolean | undefined } = { result: undefined };
  waiting.then((result) => followed.result = result);
  return followed;
}

Deno.test("settled() is true at once where nothing is under way", async () => {
  assertEquals(await settled(0), true);
  // A timer that is left fails this test.
  assertEquals(await settled(LIMIT_MS), true);
});

Deno.test("settled() waits for all that is under way, and for what that begins", async () => {
  const steps = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
  const [first, second, third] = steps.map(({ promise }) => promise);
  track(Promise.resolve(first).then(() => void track(Promise.resolve(third))));
  track(Promise.resolve(second));
  const waiting = follow(settled(LIMIT_MS));
  for (const { resolve } of steps) {
    await turn();
    assertEquals(waiting.result, undefined);
    resolve();
  }
  await turn();
  assertEquals(waiting.result, true);
});

Deno.test("settled() takes what failed for over, and says nothing of it", async () => {
  const { promise, reject } = Promise.withResolvers<void>();
  const failing = assertRejects(() => track(promise), Error, "mine");
  const waiting = follow(settled(LIMIT_MS));
  await turn();
  assertEquals(waiting.result, undefined);
  reject(new Error("mine"));
  await failing;
  await turn();
  assertEquals(waiting.result, true);
});

Deno.test("settled() is false where something takes longer", async () => {
  const clock = new FakeClock();
  const { promise, resolve } = Promise.withResolvers<void>();
  track(promise);
  const waiting = follow(settled(1_000, clock));
  await clock.advance(999);
  assertEquals(waiting.result, undefined);
  await clock.advance(1);
  await turn();
  assertEquals(waiting.result, false);
  resolve();
  assertEquals(await settled(LIMIT_MS), true);
});

Deno.test("track() gives back what it was given", async () => {
  const promise = Promise.resolve(42);
  assertStrictEquals(track(promise), promise);
  assertEquals(await settled(LIMIT_MS), true);
});

Deno.test("track() has the event loop come round while something is under way, and no longer", async () => {
  const { setInterval: start, clearInterval: end } = globalThis;
  const running = new Map<unknown, number | undefined>();
  const { promise, resolve } = Promise.withResolvers<void>();
  try {
    globalThis.setInterval = ((work: () => void, ms?: number) => {
      const timer = start(work, ms);
      running.set(timer, ms);
      return timer;
    }) as typeof setInterval;
    globalThis.clearInterval = ((timer?: number) => {
      running.delete(timer);
      end(timer);
    }) as typeof clearInterval;
    track(promise);
    track(Promise.resolve());
    await turn();
    assertEquals([...running.values()], [1_000]);
    resolve();
    await turn();
    assertEquals(running.size, 0);
  } finally {
    Object.assign(globalThis, { setInterval: start, clearInterval: end });
  }
});
