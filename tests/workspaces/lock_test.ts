import { assertEquals, assertRejects } from "@std/assert";
import { lock, tryLock } from "../../lib/workspaces/lock.ts";

Deno.test("a lock is for one at a time, and given back at the end", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/new/a.lock`;
    const first = await lock(path);
    using _other = await lock(`${folder}/b.lock`);
    assertEquals(await tryLock(path), undefined);
    const stop = new AbortController();
    const stopped = lock(path, stop.signal);
    const second = lock(path);
    stop.abort(new Error("stopped"));
    await assertRejects(() => stopped, Error, "stopped");
    // Who has it may remove it, and another is made.
    await Deno.remove(path);
    using _made = await lock(path);
    first[Symbol.dispose]();
    await Deno.remove(path);
    using _third = await second;
    assertEquals(await tryLock(path), undefined);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
