import { assertEquals, assertRejects } from "@std/assert";
import { UsageError } from "../../../lib/base/errors.ts";
import type { Admin } from "../../../lib/store/contract.ts";
import type { TaskState } from "../../../lib/task/task.ts";
import { complete } from "../../../lib/task/transitions.ts";
import { at, TimedStore } from "./timed_store.ts";

/** The ids of all pages, one after the other. */
async function idsOfPages(admin: Admin, limit: number): Promise<string[]> {
  const ids: string[] = [];
  let after: string | undefined;
  do {
    const page = await admin.page({ limit, after });
    ids.push(...page.tasks.map(({ id }) => id));
    after = page.next;
  } while (after !== undefined);
  return ids;
}

Deno.test("page() has every task once, also those of one moment, last made first", async () => {
  await using timed = await TimedStore.open();
  const { admin } = timed.store;
  const made: string[] = [];
  for (let n = 0; n < 3; n++) {
    timed.setTo(n);
    made.push(...await timed.create({}, {}, {}));
  }
  assertEquals(await idsOfPages(admin, 2), made.toReversed());
});

Deno.test("page() goes on where the task that it ended with is gone", async () => {
  await using timed = await TimedStore.open();
  const { admin, queue } = timed.store;
  const made = await timed.create({}, {}, {});
  const { tasks: [shown], next: after } = await admin.page({ limit: 1 });
  assertEquals(shown?.id, made[2]);
  const claimed = await timed.claim();
  const ended = claimed.filter(({ task }) => task.id === shown?.id);
  await queue.record(ended.map((it) => complete(it)));
  assertEquals((await admin.prune(at(1))).tasks, 1);
  const { tasks } = await admin.page({ limit: 3, after });
  assertEquals(tasks.map(({ id }) => id), [made[1], made[0]]);
});

Deno.test("page() refuses a place that is none", async () => {
  await using timed = await TimedStore.open();
  const { admin } = timed.store;
  for (const after of ["", "x", "ü", btoa("1.x"), btoa("'; DROP")]) {
    await assertRejects(
      () => admin.page({ limit: 1, after }),
      UsageError,
      "that is no place in the list",
    );
  }
});

Deno.test("100,000 tasks are paged, searched, counted and measured", async () => {
  const folder = await Deno.makeTempDir();
  {
    await using timed = await TimedStore.open(`${folder}/tasks.duckdb`);
    const { admin, queue, events } = timed.store;
    for (let n = 0; n < 100_000; n += 25_000) {
      timed.setTo(n / 1_000);
      await timed.create(
        ...Array.from({ length: 25_000 }, (_, index) => ({
          provider: `p${index % 7}`,
          instruction: `Do thing ${n + index}`,
        })),
      );
    }
    timed.setTo(200);
    const claimed = await timed.claim({ limit: 10_000 });
    timed.setTo(201);
    await queue.record(claimed.map((it) => complete(it)));

    const first = await admin.page({ limit: 30_000 });
    assertEquals([first.tasks.length, first.total], [30_000, 100_000]);
    const second = await admin.page({ limit: 500, after: first.next });
    assertEquals(second.tasks[0]?.instruction, "Do thing 69999");
    const search = await admin.page({ limit: 50, text: "THING 9999" });
    assertEquals([search.tasks.length, search.total], [11, 11]);
    const { counts, waiting } = await admin.count();
    assertEquals([counts.length, waiting], [14, 90_000]);
    const states = new Set<TaskState>(counts.map(({ state }) => state));
    assertEquals(states, new Set<TaskState>(["created", "completed"]));
    const { buckets } = await admin.stats({
      start: at(0),
      bucketMs: 10_000,
      buckets: 30,
    });
    assertEquals(buckets.reduce((sum, it) => sum + it.created, 0), 100_000);
    assertEquals(buckets[20]?.completed, 10_000);
    assertEquals(buckets[20]?.run, { p50: 1_000, p95: 1_000, p99: 1_000 });
    const page = await events.after("50000", { limit: 1_000 });
    assertEquals([page.events[0]?.id, page.cursor], [50_001, "51000"]);
    assertEquals(await events.last(), "120000");
  }
  await Deno.remove(folder, { recursive: true });
});
