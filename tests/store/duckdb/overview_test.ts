import { assertEquals } from "@std/assert";
import { noteProgress } from "../../../lib/task/transitions.ts";
import { at, TimedStore } from "./timed_store.ts";

Deno.test("overview() shows what runs, what ended last, and when", async () => {
  await using timed = await TimedStore.open();
  const { admin, queue } = timed.store;
  const old = await timed.runTask({ startedAt: 1, endedAt: 2 });
  const failed = await timed.runTask({
    startedAt: 3,
    endedAt: 70.5,
    error: "no",
  });
  const running = await timed.start({
    provider: "http",
    createdAt: 71,
    startedAt: 72,
  });
  timed.setTo(75);
  const note = { message: "Half way", at: at(75) };
  await queue.record([noteProgress(running, note)]);
  timed.setTo(76);
  await timed.create({ provider: "http" });
  timed.setTo(100);
  const overview = await admin.overview({ limit: 10, recentMs: 60_000 });
  assertEquals(overview.counts, {
    created: 1,
    running: 1,
    completed: 1,
    failed: 1,
  });
  assertEquals(overview.runningCount, 1);
  const [shown] = overview.running;
  assertEquals(
    [shown?.id, shown?.provider, shown?.startedAt],
    [running.task.id, "http", at(72)],
  );
  assertEquals(shown?.leaseExpiresAt, at(72 + 1e6));
  assertEquals(overview.ended.map(({ id }) => id), [failed, old]);
  assertEquals(
    overview.endedBySecond,
    new Map([[at(70).getTime() / 1_000, 1]]),
  );
});

Deno.test("overview() shows no more than its limit, and counts all", async () => {
  await using timed = await TimedStore.open();
  const { admin } = timed.store;
  for (let n = 0; n < 3; n++) {
    await timed.start({ provider: "http", createdAt: n, startedAt: 10 + n });
  }
  timed.setTo(100);
  const overview = await admin.overview({ limit: 2, recentMs: 60_000 });
  assertEquals(overview.running.map(({ startedAt }) => startedAt), [
    at(10),
    at(11),
  ]);
  assertEquals(overview.runningCount, 3);
  timed.setTo(2e6);
  const later = await admin.overview({ limit: 2, recentMs: 60_000 });
  assertEquals([later.running, later.runningCount], [[], 0]);
});
