import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { openDuckDbStore } from "../../../lib/store/duckdb/store.ts";
import type { PageCursor } from "../../../lib/store/feed.ts";
import type { OpenStore } from "../../../lib/store/open.ts";
import type { NewTask } from "../../../lib/task/task.ts";
import { complete, fail } from "../../../lib/task/transitions.ts";
import { NO_ID } from "../../service/service.ts";

const NOW = new Date("2026-11-23T12:00:00Z");

function at(seconds: number): Date {
  return new Date(NOW.getTime() + seconds * 1_000);
}

function task(more: Partial<NewTask> = {}): NewTask {
  return { userId: NO_ID, provider: "p", instruction: "x", ...more };
}

function claim(store: OpenStore, now: Date, limit = 100_000) {
  return store.claim({
    limit,
    owner: "tester",
    leaseMs: 60_000,
    maxAttempts: 3,
    now,
  });
}

Deno.test("counts() knows what waits, since when, and what is in flight", async () => {
  await using store = await openDuckDbStore(":memory:");
  const nothing = await store.feed.counts(NOW);
  assertEquals(nothing, {
    counts: [],
    waiting: 0,
    waitingSince: null,
    inFlight: 0,
  });
  await store.create([task({ provider: "a" })], at(-100));
  await claim(store, at(-50));
  await store.create([
    task(),
    task({ runAt: at(-10) }),
    task({ runAt: at(-500) }),
    task({ runAt: at(10) }),
  ], at(-40));
  const running = await store.feed.counts(NOW);
  assertEquals(
    running.counts.map((
      { provider, state, count },
    ) => [provider, state, count]),
    [["p", "created", 4], ["a", "running", 1]],
  );
  const { waiting, waitingSince, inFlight } = running;
  assertEquals([waiting, waitingSince, inFlight], [3, at(-40), 1]);
  // Its lease is over; nobody knows yet.
  const later = await store.feed.counts(at(20));
  assertEquals([later.waiting, later.inFlight], [5, 0]);
});

Deno.test("series() counts by time, with wait and run times", async () => {
  await using store = await openDuckDbStore(":memory:");
  await store.create([task(), task(), task()], at(1));
  const { claimed } = await claim(store, at(11));
  const [one, two, three] = claimed;
  await store.record([complete(one!, at(13))], at(13));
  await store.record([complete(two!, at(14))], at(14));
  await store.record([fail(three!, at(25), "no")], at(25));
  const series = await store.feed.series({
    start: NOW,
    bucketMs: 10_000,
    buckets: 4,
  });
  const empty = {
    created: 0,
    started: 0,
    completed: 0,
    failed: 0,
    cancelled: 0,
    retried: 0,
    wait: null,
    run: null,
  };
  assertEquals(series, [
    { ...empty, created: 3 },
    {
      ...empty,
      started: 3,
      completed: 2,
      wait: { p50: 10_000, p95: 10_000 },
      run: { p50: 2_500, p95: 2_950 },
    },
    { ...empty, failed: 1, run: { p50: 14_000, p95: 14_000 } },
    empty,
  ]);
  const other = { start: at(-40), bucketMs: 10_000, buckets: 4 };
  assertEquals(
    (await store.feed.series(other)).every((it) => !it.created),
    true,
  );
});

Deno.test("page() is in the order of creation, also for times of one moment", async () => {
  await using store = await openDuckDbStore(":memory:");
  for (let n = 0; n < 3; n++) {
    await store.create([task(), task(), task()], at(n));
  }
  const ids: string[] = [];
  let after: PageCursor | undefined;
  do {
    const page = await store.feed.page({ limit: 2, after });
    ids.push(...page.tasks.map(({ id }) => id));
    after = page.next;
  } while (after);
  const all = await store.list({ limit: 100 });
  assertEquals(ids.length, 9);
  assertEquals(ids.toSorted(), all.map(({ id }) => id).toSorted());
  const times = all.map(({ createdAt }) => createdAt.getTime());
  assertEquals(times, times.toSorted((a, b) => b - a));
});

Deno.test("version() changes with every commit, and with nothing else", async () => {
  const folder = await Deno.makeTempDir();
  const store = await openDuckDbStore(`${folder}/tasks.duckdb`);
  await store[Symbol.asyncDispose]();
  let before = store.feed.version();
  for (let n = 0; n < 3; n++) {
    await store.create([task()], NOW);
    const after = store.feed.version();
    assertNotEquals(after, before, "the file is still open");
    await store[Symbol.asyncDispose]();
    before = store.feed.version();
    await store.feed.page({ limit: 1 });
    await store.countByState();
    assertEquals(store.feed.version(), before);
    await store[Symbol.asyncDispose]();
    assertEquals(store.feed.version(), before);
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("announceChange() counts as a change by another process", async () => {
  await using store = await openDuckDbStore(":memory:");
  const before = await store.changeCount();
  store.feed.announceChange();
  assertEquals(await store.changeCount(), before + 1);
});

Deno.test("100,000 tasks are listed, searched and counted in a moment", async (t) => {
  const folder = await Deno.makeTempDir();
  {
    await using store = await openDuckDbStore(`${folder}/tasks.duckdb`);
    for (let n = 0; n < 100_000; n += 25_000) {
      await store.create(
        Array.from({ length: 25_000 }, (_, index) =>
          task({
            provider: `p${index % 7}`,
            instruction: `Do thing ${n + index}`,
          })),
        at(n / 1_000),
      );
    }
    const { claimed } = await claim(store, at(200), 10_000);
    await store.record(claimed.map((it) => complete(it, at(201))), at(201));
    const { feed } = store;
    // Each takes 10 to 50 ms where this was written.
    const inTime = async (name: string, read: () => Promise<void>) => {
      await t.step(name, async () => {
        const begunAt = performance.now();
        await read();
        const ms = performance.now() - begunAt;
        assert(ms < 2_000, `${ms} ms`);
      });
    };
    await inTime("the first page", async () => {
      const { tasks, total } = await feed.page({ limit: 50 });
      assertEquals([tasks.length, total], [50, 100_000]);
    });
    await inTime("a page in the middle", async () => {
      const after = { createdAtUs: at(49).getTime() * 1_000, id: NO_ID };
      const { tasks, total } = await feed.page({ limit: 500, after });
      assertEquals([tasks.length, total], [500, 100_000]);
    });
    await inTime("a search", async () => {
      const { tasks, total } = await feed.page({
        limit: 50,
        text: "THING 9999",
      });
      assertEquals([tasks.length, total], [11, 11]);
    });
    await inTime("counts", async () => {
      const { counts, waiting } = await feed.counts(at(300));
      assertEquals([counts.length, waiting], [14, 90_000]);
    });
    await inTime("plots, from a share of the tasks", async () => {
      const series = await feed.series({
        start: NOW,
        bucketMs: 10_000,
        buckets: 30,
      });
      assertEquals(series.reduce((sum, it) => sum + it.created, 0), 100_000);
      assertEquals(series[20]?.completed, 10_000);
      assertEquals(series[20]?.run, { p50: 1_000, p95: 1_000 });
    });
    await inTime("events", async () => {
      const events = await feed.eventsAfter(50_000, { limit: 1_000 });
      assertEquals([events[0]?.id, events.length], [50_001, 1_000]);
      assertEquals(await feed.lastEventId(), 120_000);
    });
  }
  await Deno.remove(folder, { recursive: true });
});
