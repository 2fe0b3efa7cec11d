import { assertEquals } from "@std/assert";
import { ReadCache } from "../../../lib/service/api/read_cache.ts";
import { FakeClock } from "../../support/fake_clock.ts";

function cache(): ReadCache {
  return new ReadCache({ clock: new FakeClock(), version: () => "1" });
}

/** Which keys are kept; asking for a lost one reads it again. */
async function isKept(cache: ReadCache, key: string): Promise<boolean> {
  let wasRead = false;
  await cache.get(key, () => {
    wasRead = true;
    return Promise.resolve(null);
  });
  return !wasRead;
}

/** As large as a task's trace may be. */
function task(characters: number) {
  return Promise.resolve([{ id: "x", traceText: "x".repeat(characters) }]);
}

Deno.test("ReadCache keeps at most 50 answers, the newest", async () => {
  const reads = cache();
  for (let n = 0; n < 51; n++) await reads.get(`${n}`, () => task(1));
  assertEquals(await isKept(reads, "50"), true);
  assertEquals(await isKept(reads, "1"), true);
  assertEquals(await isKept(reads, "0"), false);
});

Deno.test("ReadCache keeps at most 16 million characters, the newest", async () => {
  const reads = cache();
  for (const key of ["a", "b", "c", "d"]) {
    await reads.get(key, () => task(5_000_000));
  }
  assertEquals(await isKept(reads, "d"), true);
  assertEquals(await isKept(reads, "b"), true);
  assertEquals(await isKept(reads, "a"), false);
});

Deno.test("ReadCache gives what is too large to be kept to all who wait for it", async () => {
  const reads = cache();
  let count = 0;
  const read = () => {
    count++;
    return task(17_000_000);
  };
  const [first, second] = await Promise.all([
    reads.get("a", read),
    reads.get("a", read),
  ]);
  assertEquals([first === second, count], [true, 1]);
  assertEquals(await isKept(reads, "a"), false);
});
