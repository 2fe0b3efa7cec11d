import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { DatabaseBusyError, DatabaseError } from "../../lib/base/errors.ts";
import { createLog } from "../../lib/base/log.ts";
import { openWhenFree } from "../../lib/cli/open.ts";
import type { Store } from "../../lib/store/contract.ts";
import { FakeClock } from "../support/fake_clock.ts";

const STORE = {} as Store;

/** Waits for a store that `open` opens; each try takes as long as it is let. */
async function wait(
  open: (tries: number) => Store,
  stop = new AbortController(),
) {
  const clock = new FakeClock();
  let logged = "";
  let tries = 0;
  const log = createLog({ write: (text) => logged += text });
  const opening = openWhenFree(async (own) => {
    await clock.advance(own.openWaitMs ?? 0);
    return open(++tries);
  }, { clock, log, stop: stop.signal });
  const store = await opening.finally(() => log.flush());
  return { store, lines: logged.split("\n").slice(0, -1), tries };
}

function busy(): never {
  throw new DatabaseBusyError("Cannot open it.", { holder: "deno (PID 7)" });
}

Deno.test("openWhenFree() says nothing where nobody holds the store", async () => {
  const { store, lines } = await wait(() => STORE);
  assertEquals([store, lines], [STORE, []]);
});

Deno.test("openWhenFree() says at once for whom it waits, and every half minute again", async () => {
  const freeAfterMs = 70_000;
  const { store, lines } = await wait((tries) =>
    tries * 500 <= freeAfterMs ? busy() : STORE
  );
  assertEquals(store, STORE);
  assertEquals(
    lines.map((line) =>
      /for (\d+) s so far: deno \(PID 7\) holds it/.exec(line)?.[1]
    ),
    ["1", "31", "61"],
  );
});

Deno.test("openWhenFree() gives up when it is stopped", async () => {
  const stop = new AbortController();
  const { store, tries } = await wait((tries) => {
    if (tries === 3) stop.abort();
    return busy();
  }, stop);
  assertEquals([store, tries], [undefined, 3]);
});

Deno.test("openWhenFree() waits for nothing else", async () => {
  const error = await assertRejects(
    () =>
      wait(() => {
        throw new DatabaseError("Cannot open it: it is a folder.");
      }),
    DatabaseError,
  );
  assertMatch(error.message, /folder/);
});
