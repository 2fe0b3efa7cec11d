import { assert, assertEquals } from "@std/assert";
import { type PoolOptions, runPool } from "../../lib/runner/slots.ts";
import { FakeClock, turn } from "../support/fake_clock.ts";

interface Setup extends Partial<PoolOptions<number>> {
  readonly items: number;
}

function setUp({ items, ...options }: Setup) {
  const clock = new FakeClock({ autoAdvance: true });
  const limits: number[] = [];
  let next = 0;
  const pool: PoolOptions<number> = {
    concurrency: 4,
    clock,
    stop: new AbortController().signal,
    run: () => Promise.resolve(),
    claim: (limit) => {
      limits.push(limit);
      const end = Math.min(items, next + limit);
      const claimed = Array.from({ length: end - next }, (_, i) => next + i);
      next = end;
      return Promise.resolve({ items: claimed, isBlocked: false });
    },
    ...options,
  };
  return { pool, limits, clock };
}

Deno.test("runPool() runs every item once, in order", async () => {
  const seen: number[] = [];
  const { pool } = setUp({
    items: 1_000,
    run: (item) => {
      seen.push(item);
      return Promise.resolve();
    },
  });
  const { unstarted, settled } = await runPool(pool);
  await settled;
  assertEquals(unstarted, []);
  assertEquals(seen, Array.from({ length: 1_000 }, (_, i) => i));
});

Deno.test("runPool() claims no more than its slots while items take long", async () => {
  const { pool, limits, clock } = setUp({
    items: 12,
    run: async () => await clock.sleep(10_000),
  });
  await (await runPool(pool)).settled;
  assert(limits.every((limit) => limit <= 4), limits.join());
});

Deno.test("runPool() claims ahead while items take no time", async () => {
  const { pool, limits } = setUp({ items: 20_000 });
  await (await runPool(pool)).settled;
  assert(Math.max(...limits) > 1_000, limits.join());
});

Deno.test("runPool() starts the next when a slot is free, before the bookkeeping is over", async () => {
  const started: number[] = [];
  const booked = Promise.withResolvers<void>();
  const bookkeeping = { size: 0, settled: () => booked.promise };
  const { pool } = setUp({
    items: 3,
    concurrency: 1,
    bookkeeping,
    run: (item) => {
      started.push(item);
      bookkeeping.size++;
      return Promise.resolve();
    },
  });
  const { settled } = await runPool(pool);
  assertEquals(started, [0, 1, 2]);
  let isSettled = false;
  const done = settled.then(() => isSettled = true);
  await turn();
  assertEquals(isSettled, false);
  bookkeeping.size = 0;
  booked.resolve();
  await done;
});

Deno.test("runPool() lets timers fire between items that take no time", async () => {
  let ran = 0;
  const { pool } = setUp({
    items: 50_000,
    run: () => {
      ran++;
      return Promise.resolve();
    },
  });
  const done = runPool(pool);
  await new Promise((resolve) => setTimeout(resolve, 0));
  const ranThen = ran;
  await (await done).settled;
  assert(ranThen < 50_000, `${ranThen}`);
  assertEquals(ran, 50_000);
});

Deno.test("runPool() gives back what it has not started when it is stopped", async () => {
  const stop = new AbortController();
  const { pool } = setUp({
    items: 4,
    concurrency: 1,
    stop: stop.signal,
    claim: () => Promise.resolve({ items: [0, 1, 2, 3], isBlocked: false }),
    run: () => {
      stop.abort();
      return Promise.resolve();
    },
  });
  const { unstarted, settled } = await runPool(pool);
  await settled;
  assertEquals(unstarted, [1, 2, 3]);
});

Deno.test("runPool() claims again when a running item ends where the rest was blocked", async () => {
  const answers = [
    { items: [1], isBlocked: true },
    { items: [2], isBlocked: true },
    { items: [], isBlocked: false },
  ];
  const seen: number[] = [];
  const { pool } = setUp({
    items: 0,
    claim: () =>
      Promise.resolve(answers.shift() ?? { items: [], isBlocked: false }),
    run: (item) => {
      seen.push(item);
      return Promise.resolve();
    },
  });
  await (await runPool(pool)).settled;
  assertEquals(seen, [1, 2]);
});
