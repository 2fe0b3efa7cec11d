import { assert, assertEquals } from "@std/assert";
import { createLog } from "../../lib/base/log.ts";
import { Waiting } from "../../lib/runner/waiting.ts";
import { FakeClock, turn } from "../support/fake_clock.ts";
import { StubQueue } from "../support/stub_queue.ts";

function setUp() {
  const clock = new FakeClock();
  const queue = new StubQueue(clock);
  const stop = new AbortController();
  let logged = "";
  const log = createLog({ write: (text) => logged += text });
  const waiting = new Waiting({
    queue,
    clock,
    log,
    intervalMs: 5_000,
    stop: stop.signal,
  });
  /** Begins to wait; how long that took, when it is over. */
  const begin = () => {
    const from = clock.monotonic();
    let tookMs: number | undefined;
    waiting.wait(clock.now()).then(() => tookMs = clock.monotonic() - from);
    return () => tookMs;
  };
  const due = (...times: (number | null)[]) => {
    queue.untilDue = () => Promise.resolve(times.shift() ?? null);
  };
  const lines = () => {
    log.flush();
    return logged;
  };
  return { clock, queue, stop, waiting, begin, due, lines };
}

Deno.test("Waiting.wait() looks again after a minute where nothing is due", async () => {
  const { clock, waiting, begin } = setUp();
  using _ = waiting;
  const took = begin();
  await clock.advance(59_999);
  assertEquals(took(), undefined);
  await clock.advance(1);
  await turn();
  assertEquals(took(), 60_000);
});

Deno.test("Waiting.wait() ends when something is due, not before", async () => {
  const { clock, waiting, begin, due } = setUp();
  using _ = waiting;
  due(1_234);
  const took = begin();
  await clock.advance(5_000);
  assertEquals(took(), 1_234);
});

for (const dueMs of [0, -86_400_000]) {
  Deno.test(`Waiting.wait() lets others have their turn where something is always due in ${dueMs} ms`, async () => {
    const { clock, waiting, begin, queue } = setUp();
    using _ = waiting;
    queue.untilDue = () => Promise.resolve(dueMs);
    const took = begin();
    await turn();
    assertEquals(took(), undefined);
    await clock.advance(1_000);
    assertEquals(took(), 10);
  });
}

const ENDS = {
  "a change of the store": ({ queue }: ReturnType<typeof setUp>) =>
    queue.announce(),
  "a call of wake()": ({ waiting }: ReturnType<typeof setUp>) => waiting.wake(),
  "the signal to stop": ({ stop }: ReturnType<typeof setUp>) => stop.abort(),
};

for (const [name, end] of Object.entries(ENDS)) {
  Deno.test(`Waiting.wait() ends at ${name}`, async () => {
    const parts = setUp();
    using _ = parts.waiting;
    const took = parts.begin();
    await parts.clock.advance(100);
    assertEquals(took(), undefined);
    end(parts);
    await turn();
    assertEquals([took(), parts.clock.sleepers], [100, 0]);
  });

  Deno.test(`Waiting.wait() ends at ${name} while the store is asked what is due`, async () => {
    const parts = setUp();
    using _ = parts.waiting;
    parts.queue.hangs("untilDue");
    const took = parts.begin();
    await turn();
    end(parts);
    await turn();
    assertEquals(took(), 0);
    parts.queue.heals("untilDue");
  });

  Deno.test(`Waiting.wait() misses no ${name} since the claim began`, async () => {
    const parts = setUp();
    using _ = parts.waiting;
    parts.waiting.beforeClaim();
    end(parts);
    const took = parts.begin();
    await turn();
    assertEquals(took(), 0);
  });
}

Deno.test("Waiting.beforeClaim() forgets what was changed before", async () => {
  const { clock, waiting, begin, queue } = setUp();
  using _ = waiting;
  queue.announce();
  waiting.beforeClaim();
  const took = begin();
  await clock.advance(1_000);
  assertEquals(took(), undefined);
  waiting.wake();
});

Deno.test("Waiting.wait() goes on for the interval after a failure, whatever is due", async () => {
  const { clock, waiting, begin, due } = setUp();
  using _ = waiting;
  due(1_000, 60_000);
  waiting.failed();
  const took = begin();
  await clock.advance(10_000);
  assertEquals(took(), 5_000);
  const next = begin();
  await clock.advance(5_000);
  assertEquals(next(), 1_000);
});

Deno.test("Waiting.wait() ends at no change sooner than a quarter of a second after a failure", async () => {
  const { clock, waiting, begin, queue } = setUp();
  using _ = waiting;
  waiting.failed();
  const took = begin();
  queue.announce();
  await clock.advance(249);
  assertEquals(took(), undefined);
  await clock.advance(1);
  await turn();
  assertEquals(took(), 250);
});

Deno.test("Waiting.wait() obeys a stop after a failure too", async () => {
  const { clock, waiting, begin, stop } = setUp();
  using _ = waiting;
  waiting.failed();
  const took = begin();
  await clock.advance(100);
  stop.abort();
  await turn();
  assertEquals([took(), clock.sleepers], [100, 0]);
});

Deno.test("Waiting.wait() says where it can't look for due tasks, and waits for the interval", async () => {
  const { clock, waiting, begin, queue, lines } = setUp();
  using _ = waiting;
  queue.fails("untilDue");
  const took = begin();
  await clock.advance(10_000);
  assertEquals(took(), 5_000);
  assert(lines().includes("ERROR - Cannot look for due tasks: gone"));
});

Deno.test("Waiting listens no more when it is disposed of", () => {
  const { waiting, queue } = setUp();
  assertEquals(queue.listeners, 1);
  waiting[Symbol.dispose]();
  assertEquals(queue.listeners, 0);
});
