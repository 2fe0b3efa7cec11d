import { assertEquals } from "@std/assert";
import { callSideBySide } from "./crash.ts";
import { Random } from "./random.ts";

// `deno task chaos --crash` makes some thousand calls.
Deno.test("calls of the program side by side end by no signal that nobody sent", async () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const { calls, badEnds } = await callSideBySide({
    random: new Random(seed),
    creates: 24,
    others: 6,
  });
  assertEquals(badEnds, [], `Seed ${seed}`);
  assertEquals(calls, { create: 24, list: 6, once: 6, loop: 6 });
});
