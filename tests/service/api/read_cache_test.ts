import { assertEquals } from "@std/assert";
import {
  ReadCache,
  type ReadOptions,
} from "../../../lib/service/api/read_cache.ts";
import { FakeClock } from "../../support/fake_clock.ts";

/** Says whether it was read again for that, and not kept. */
async function isRead(
  cache: ReadCache,
  key: string,
  options?: ReadOptions,
): Promise<boolean> {
  let wasRead = false;
  await cache.get(key, () => {
    wasRead = true;
    return Promise.resolve(null);
  }, options);
  return wasRead;
}

/** As large as a task's trace may be. */
function task(characters: number) {
  return Promise.resolve([{ id: "x", traceText: "x".repeat(characters) }]);
}

Deno.test("ReadCache reads again after a change, and not before", async () => {
  const cache = new ReadCache(new FakeClock());
  assertEquals(await isRead(cache, "a"), true);
  assertEquals(await isRead(cache, "a"), false);
  assertEquals(await isRead(cache, "b"), true);
  cache.changed();
  assertEquals(await isRead(cache, "a"), true);
});

Deno.test("ReadCache reads again where the change came while it read", async () => {
  const cache = new ReadCache(new FakeClock());
  await cache.get("a", () => {
    cache.changed();
    return Promise.resolve(null);
  });
  assertEquals(await isRead(cache, "a"), true);
});

Deno.test("ReadCache keeps for a time what need not be true any more", async () => {
  const clock = new FakeClock();
  const cache = new ReadCache(clock);
  assertEquals(await isRead(cache, "a", { minAgeMs: 500 }), true);
  cache.changed();
  await clock.advance(499);
  assertEquals(await isRead(cache, "a", { minAgeMs: 500 }), false);
  await clock.advance(1);
  assertEquals(await isRead(cache, "a", { minAgeMs: 500 }), true);
});

Deno.test("ReadCache reads for at most a tenth of the time what may be old", async () => {
  const clock = new FakeClock();
  const cache = new ReadCache(clock);
  await cache.get("a", async () => await clock.advance(2_000), {
    minAgeMs: 500,
  });
  cache.changed();
  await clock.advance(19_999);
  assertEquals(await isRead(cache, "a", { minAgeMs: 500 }), false);
  await clock.advance(1);
  assertEquals(await isRead(cache, "a", { minAgeMs: 500 }), true);
});

Deno.test("ReadCache reads again what is too old, though nothing was changed", async () => {
  const clock = new FakeClock();
  const cache = new ReadCache(clock);
  const options = { minAgeMs: 500, maxAgeMs: 10_000 };
  assertEquals(await isRead(cache, "a", options), true);
  await clock.advance(9_999);
  assertEquals(await isRead(cache, "a", options), false);
  await clock.advance(1);
  assertEquals(await isRead(cache, "a", options), true);
});

Deno.test("ReadCache forgets what could not be read", async () => {
  const cache = new ReadCache(new FakeClock());
  await cache.get("a", () => Promise.reject(new Error("no"))).catch(() => {});
  assertEquals(await isRead(cache, "a"), true);
});

Deno.test("ReadCache keeps at most 50 values, the newest", async () => {
  const cache = new ReadCache(new FakeClock());
  for (let n = 0; n < 51; n++) await cache.get(`${n}`, () => task(1));
  assertEquals(await isRead(cache, "50"), false);
  assertEquals(await isRead(cache, "1"), false);
  assertEquals(await isRead(cache, "0"), true);
});

Deno.test("ReadCache keeps at most 16 million characters, the newest", async () => {
  const cache = new ReadCache(new FakeClock());
  for (const key of ["a", "b", "c", "d"]) {
    await cache.get(key, () => task(5_000_000));
  }
  assertEquals(await isRead(cache, "d"), false);
  assertEquals(await isRead(cache, "b"), false);
  assertEquals(await isRead(cache, "a"), true);
});

Deno.test("ReadCache gives what is too large to be kept to all who wait for it", async () => {
  const cache = new ReadCache(new FakeClock());
  let count = 0;
  const read = () => {
    count++;
    return task(17_000_000);
  };
  const [first, second] = await Promise.all([
    cache.get("a", read),
    cache.get("a", read),
  ]);
  assertEquals([first === second, count], [true, 1]);
  assertEquals(await isRead(cache, "a"), true);
});
